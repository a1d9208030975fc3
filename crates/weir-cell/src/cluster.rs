//! Which cluster a node's records belong to: one line in a file beside the journal.
//!
//! Written once a node has registered for the first time. At every later start it is read before and told with the
//! registration, so that another control plane refuses the node before it has counted it. Two control planes give the
//! same numbers to different streams: a node must never follow one with the records of another.

use std::path::{Path, PathBuf};

use weir_core::{
    durable::{self, FileError},
    id::ClusterId,
};

/// The file.
const FILE: &str = "cluster";
/// Anybody may read what a node notes beside its journal.
pub(crate) const MODE: u32 = 0o644;

/// Why a node does not follow a control plane.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The records belong to another one.
    #[error(
        "the log in {} belongs to cluster {has}, and the control plane is of cluster {told}: give the node an empty \
         --data folder, or the control plane the folder that it had",
        .folder.display()
    )]
    Other {
        /// Where the log is.
        folder: PathBuf,
        /// Whose it is.
        has: ClusterId,
        /// Who wants it.
        told: ClusterId,
    },
    /// The records are gone.
    #[error(
        "the log in {folder} is of cluster {has}, and none of its segments is there: put them back; or, to begin with an \
         empty log, remove {file}",
        folder = .folder.display(), file = .folder.join(FILE).display()
    )]
    Gone {
        /// Where the log was.
        folder: PathBuf,
        /// Whose it is.
        has: ClusterId,
    },
    /// The file says something else.
    #[error("{} does not hold the number of a cluster", .0.display())]
    Malformed(PathBuf),
    /// The disk refused.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Whose `folder` is, if it is anybody's yet.
pub(crate) fn read(folder: &Path) -> Result<Option<ClusterId>, ClusterError> {
    let path = folder.join(FILE);
    let Some(text) = durable::read(&path)? else { return Ok(None) };
    match text.trim_end().parse() {
        Ok(number) => Ok(Some(ClusterId(number))),
        Err(_) => Err(ClusterError::Malformed(path)),
    }
}

/// Makes `folder`, which exists, the one of cluster `told`, durably, unless it is another's already.
pub(crate) fn claim(folder: &Path, told: ClusterId) -> Result<(), ClusterError> {
    match read(folder)? {
        Some(has) if has == told => Ok(()),
        Some(has) => Err(ClusterError::Other { folder: folder.to_path_buf(), has, told }),
        None => Ok(durable::replace(&folder.join(FILE), format!("{told}\n").as_bytes(), MODE)?),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_folder_belongs_to_the_first_cluster_that_claims_it() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap(), None);
        claim(folder.path(), ClusterId(u64::MAX)).unwrap();
        claim(folder.path(), ClusterId(u64::MAX)).unwrap();
        assert_eq!(read(folder.path()).unwrap(), Some(ClusterId(u64::MAX)));
        let refused = claim(folder.path(), ClusterId(2)).unwrap_err();
        assert!(matches!(refused, ClusterError::Other { has: ClusterId(u64::MAX), told: ClusterId(2), .. }));
        assert!(refused.to_string().contains("--data"), "{refused}");
    }

    #[test]
    fn a_file_that_holds_no_number_is_an_error_and_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), "").unwrap();
        let refused = claim(folder.path(), ClusterId(2)).unwrap_err();
        assert!(matches!(refused, ClusterError::Malformed(_)), "{refused}");
        assert_eq!(fs::read(folder.path().join(FILE)).unwrap(), b"");
    }
}
