//! Which cluster a node's records belong to: one line in a file beside the journal.
//!
//! Written at a node's first start and compared at every later one, after it has registered and before it hears what it
//! should own. Two control planes give the same numbers to different streams: a node must never follow one with the
//! records of another.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use weir_core::id::ClusterId;

/// The file.
const FILE: &str = "cluster";

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
    /// The file says something else.
    #[error("{} does not hold the number of a cluster", .0.display())]
    Malformed(PathBuf),
    /// The disk refused.
    #[error("{operation} {}: {source}", .path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Makes `folder`, which exists, the one of cluster `told`, durably, unless it is another's already.
pub(crate) fn claim(folder: &Path, told: ClusterId) -> Result<(), ClusterError> {
    let path = folder.join(FILE);
    match fs::read_to_string(&path) {
        Ok(text) => match text.trim_end().parse().map(ClusterId) {
            Ok(has) if has == told => Ok(()),
            Ok(has) => Err(ClusterError::Other { folder: folder.to_path_buf(), has, told }),
            Err(_) => Err(ClusterError::Malformed(path)),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => write(folder, &path, told),
        Err(source) => Err(at("read", &path)(source)),
    }
}

fn write(folder: &Path, path: &Path, cluster: ClusterId) -> Result<(), ClusterError> {
    let beside = folder.join("cluster.new");
    let mut file = File::create(&beside).map_err(at("create", &beside))?;
    writeln!(file, "{cluster}").map_err(at("write", &beside))?;
    file.sync_all().map_err(at("sync", &beside))?;
    fs::rename(&beside, path).map_err(at("rename to", path))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(at("sync", folder))
}

fn at(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ClusterError {
    let path = path.to_path_buf();
    move |source| ClusterError::File { operation, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_belongs_to_the_first_cluster_that_claims_it() {
        let folder = tempfile::tempdir().unwrap();
        claim(folder.path(), ClusterId(u64::MAX)).unwrap();
        claim(folder.path(), ClusterId(u64::MAX)).unwrap();
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
