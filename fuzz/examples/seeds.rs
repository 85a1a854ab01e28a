//! Writes the seeds of each target to `corpus/`, where libFuzzer looks for them.

use std::fs;
use std::path::Path;

fn main() -> std::io::Result<()> {
    for target in &meridian_fuzz::targets::ALL {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
        fs::create_dir_all(&folder)?;
        for (number, seed) in (target.seeds)().iter().enumerate() {
            fs::write(folder.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}
