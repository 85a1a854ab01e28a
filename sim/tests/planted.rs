//! The planted mistakes are mistakes in this tree: each patch still fits. `sim/planted/run.sh` has them caught.

use std::path::Path;
use std::process::Command;

#[test]
fn every_planted_mistake_fits_this_tree() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("planted");
    let mut fit = 0;
    for file in std::fs::read_dir(&folder).unwrap() {
        let patch = file.unwrap().path();
        if patch.extension().is_none_or(|end| end != "patch") {
            continue;
        }
        let root = folder.join("../..");
        let mut check = Command::new("git");
        let done =
            check.arg("-C").arg(root).args(["apply", "--check"]).arg(&patch).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{} does not fit: {said}", patch.display());
        fit += 1;
    }
    assert!(fit > 12, "{fit} patches");
}
