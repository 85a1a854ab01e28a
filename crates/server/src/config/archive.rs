//! `--archive`: where replicas share their checkpoints.

use std::path::PathBuf;

/// Where replicas share their checkpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArchivePlace {
    /// Where the journal is.
    Journal,
    /// In a folder that all of them mount.
    Folder(PathBuf),
}

/// Comes with the journal that is kept there.
const LATER: [&str; 6] = ["s3", "az", "azblob", "gs", "gcs", "https"];

impl ArchivePlace {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let known = "there is file:///FOLDER, a folder that all replicas mount; without --archive they \
                     stand in the journal's database";
        match text.split_once("://") {
            None if text.is_empty() => Ok(Self::Journal),
            Some(("file", path)) if path.starts_with('/') && path.len() > 1 => {
                Ok(Self::Folder(PathBuf::from(path)))
            }
            Some(("file", _)) => Err(format!(
                "--archive={text} names no folder: write file:// and then its whole path, as in \
                 file:///mnt/shared"
            )),
            Some((scheme, _)) if LATER.contains(&scheme) => {
                Err(format!("--archive={scheme}://... comes with a later release: {known}"))
            }
            // What stands there may hold a password: only its scheme is shown.
            Some((scheme, _)) => {
                Err(format!("--archive={scheme}://... is no place for checkpoints: {known}"))
            }
            None => Err(format!("--archive takes a URL: {known}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ArchivePlace;

    #[test]
    fn a_folder_or_beside_the_journal() {
        let folder = ArchivePlace::Folder("/mnt/a".into());
        assert_eq!(ArchivePlace::parse("file:///mnt/a"), Ok(folder));
        assert_eq!(ArchivePlace::parse(""), Ok(ArchivePlace::Journal));
        for (text, words) in [
            (
                "s3://key:s3cret@bucket",
                "--archive=s3://... comes with a later release: there is file:",
            ),
            (
                "nfs://u:s3cret@h/x",
                "--archive=nfs://... is no place for checkpoints: there is file:",
            ),
            ("file://host/x", "names no folder: write file:// and then its whole path"),
            ("file:///", "names no folder"),
            ("/mnt/s3cret", "--archive takes a URL: there is file:///FOLDER"),
        ] {
            let why = ArchivePlace::parse(text).unwrap_err();
            assert!(why.contains(words) && !why.contains("s3cret"), "{text}: {why}");
        }
    }
}
