//! What was found before, through every target again: on a stable compiler, without libFuzzer.

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use fuzz::TARGETS;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// What is in a folder; nothing if there is no such folder.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.expect("a folder that can be read").path()).collect()
}

/// The names of what is in a folder, without what follows their dots.
fn names(folder: &Path) -> BTreeSet<String> {
    let stem = |path: &PathBuf| Some(path.file_stem()?.to_str()?.to_owned());
    entries(folder).iter().filter_map(stem).collect()
}

#[test]
fn every_target_has_an_entry_point_and_a_folder_and_nothing_else_has() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&folder("fuzz_targets")), targets);
    assert_eq!(names(&folder("corpus")), targets);
}

#[test]
fn what_was_found_before_is_taken() {
    let mut inputs = Vec::new();
    for (name, target) in TARGETS {
        let files = entries(&folder("corpus").join(name));
        assert!(!files.is_empty(), "corpus/{name} has nothing in it");
        inputs.extend(files.into_iter().map(|file| (target, file)));
    }
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some((target, file)) = inputs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let input = fs::read(file).expect("a file that can be read");
            if catch_unwind(|| target(&input)).is_err() {
                failed.lock().expect("nothing panics under it").push(file);
            }
        }
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..workers).for_each(|_| drop(scope.spawn(work))));
    let failed = failed.into_inner().expect("nothing panics under it");
    assert!(failed.is_empty(), "{failed:#?}");
}
