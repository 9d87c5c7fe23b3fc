use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Writes `bytes` to a temporary file in the folder of `path`, syncs and renames.
///
/// # Errors
///
/// Any I/O error; `path` then is unchanged.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_all_names(&[path], |file| file.write_all(bytes))
}

/// Writes a file once and gives it several names, one after the other in the order given; all in
/// one folder. Whoever opens a name sees its old file or the new one, whole, whatever interrupts
/// this: the content is synced before its first rename, the folder after the last.
///
/// # Errors
///
/// Any I/O error; names not yet reached are unchanged.
pub fn write_all_names(
    names: &[&Path],
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let Some((last, earlier)) = names.split_last() else {
        return Ok(());
    };
    let partial = partial_name(last);
    let written = write_new(&partial, write).and_then(|()| {
        for name in earlier {
            rename_twin(&partial, name)?;
        }
        fs::rename(&partial, last)
    });
    if let Err(error) = written {
        // Remove the partial file and return the first error.
        drop(remove_if_there(&partial));
        return Err(error);
    }
    sync_folder(last)
}

/// Name under which a file is written before it is renamed.
fn partial_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}

fn write_new(
    partial: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    // What an interrupted run left is unlinked, never truncated: it may be a second name of a file
    // that is good.
    remove_if_there(partial)?;
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(partial)?;
    let mut buffered = BufWriter::with_capacity(1 << 20, file);
    write(&mut buffered)?;
    let file = buffered
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    file.sync_all()
}

/// Gives the file `partial` a second name, by a hard link or, where the file system has none, a copy.
fn rename_twin(partial: &Path, name: &Path) -> io::Result<()> {
    let twin = partial_name(name);
    remove_if_there(&twin)?;
    if fs::hard_link(partial, &twin).is_err() {
        fs::copy(partial, &twin)?;
        File::open(&twin)?.sync_all()?;
    }
    fs::rename(&twin, name).inspect_err(|_| drop(remove_if_there(&twin)))
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes renames in the folder of `path` outlast a power cut.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

/// Folders cannot be synced there; the system journals renames.
#[cfg(not(unix))]
fn sync_folder(_path: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leftover_that_shares_its_file_with_a_good_name_does_no_harm() {
        let folder = tempfile::tempdir().expect("a folder");
        let [best, last] = ["best", "last"].map(|name| folder.path().join(name));
        // A run killed between the two renames leaves its partial file as a twin of `best`.
        write_atomically(&best, b"good").expect("writable");
        fs::hard_link(&best, partial_name(&last)).expect("linked");
        write_all_names(&[&last], |file| file.write_all(b"newer")).expect("writable");
        assert_eq!(fs::read(&best).expect("there"), b"good");
        assert_eq!(fs::read(&last).expect("there"), b"newer");
        assert!(!partial_name(&last).exists());
    }

    #[test]
    fn every_name_gets_the_file_and_no_partial_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let names = ["a", "b", "c"].map(|name| folder.path().join(name));
        let [a, b, c] = &names;
        write_all_names(&[a, b, c], |file| file.write_all(b"x")).expect("writable");
        for name in &names {
            assert_eq!(fs::read(name).expect("there"), b"x");
        }
        assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 3);
    }

    #[test]
    fn a_write_that_fails_leaves_what_was_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("last");
        write_atomically(&path, b"good").expect("writable");
        let full = |file: &mut dyn Write| {
            file.write_all(b"half")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        };
        let error = write_all_names(&[&path], full).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read(&path).expect("there"), b"good");
        assert!(!partial_name(&path).exists());

        // A name that cannot be taken: a folder with something in it.
        let taken = folder.path().join("taken");
        fs::create_dir_all(taken.join("inside")).expect("a folder");
        assert!(write_all_names(&[&taken, &path], |file| file.write_all(b"new")).is_err());
        assert_eq!(fs::read(&path).expect("there"), b"good");
        assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 2);
    }
}
