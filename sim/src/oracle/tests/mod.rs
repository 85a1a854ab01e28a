//! The oracle on trial: right histories are accepted, wrong ones are not, and an exact search
//! agrees.

mod agreement;
mod draw;
mod exact;
mod mutations;
mod planted;
mod script;
mod store;

use super::{Finding, judge};
use draw::{Shape, draw};

#[test]
fn right_histories_are_accepted() {
    for seed in 0..200 {
        let shape = Shape { clients: 6, keys: 8, steps: 3000, all: true };
        let (history, truth) = draw(seed, shape);
        let findings = judge(&history, &truth);
        assert!(findings.is_empty(), "seed {seed}:\n{}", told(&findings));
    }
}

fn told(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("{finding}\n")).collect()
}
