//! What is on the disk after a kill or a power cut at every point of every commit.
//!
//! A kill leaves the files as the system has them. A power cut leaves each block of 4 KiB as it was at
//! the last sync or as it is now, any mixture, and a file's length likewise. From either image a store
//! must open with every commit that returned, and the one under way whole or not at all.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};

use super::sled_store::Point;
use super::{Batch, Order, SledStore, Store as _, Tree, recent};

const BLOCK: usize = 4096;

type Probe = Box<dyn FnMut(Point)>;

thread_local! {
    static PROBE: RefCell<Option<Probe>> = const { RefCell::new(None) };
}

/// A commit of this thread has come so far.
pub(super) fn reached(point: Point) {
    // Taken out meanwhile: what looks opens stores itself, and is not looked at.
    let probe = PROBE.with_borrow_mut(Option::take);
    if let Some(mut probe) = probe {
        probe(point);
        PROBE.with_borrow_mut(|place| *place = Some(probe));
    }
}

/// The files of a folder with their contents, by their paths in it.
type Image = BTreeMap<PathBuf, Vec<u8>>;

fn image(folder: &Path) -> Image {
    let mut image = Image::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(inner) = folders.pop() {
        for entry in fs::read_dir(inner).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    let name = path.strip_prefix(folder).unwrap().to_owned();
                    image.insert(name, fs::read(path).unwrap());
                }
            }
        }
    }
    image
}

fn lay_out(image: &Image) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in image {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    folder
}

/// Some mixture of what was synced and what is there now.
fn after_power_cut(synced: &Image, now: &Image, rng: &mut StdRng) -> Image {
    let mut mixed = Image::new();
    for (name, new) in now {
        let old = synced.get(name).map_or(&[][..], Vec::as_slice);
        let length = if rng.random() { new.len() } else { old.len() };
        let mut bytes = vec![0; length];
        for start in (0..length).step_by(BLOCK) {
            let from = if rng.random() { new } else { old };
            let end = (start + BLOCK).min(length).min(from.len());
            if start < end {
                bytes[start..end].copy_from_slice(&from[start..end]);
            }
        }
        mixed.insert(name.clone(), bytes);
    }
    mixed
}

/// Rows by tree and key, as a store must have them.
type Rows = BTreeMap<(Tree, Vec<u8>), Vec<u8>>;

fn rows(store: &SledStore) -> Rows {
    let rows = |tree: Tree| {
        let rows = store.range(tree, &[], &[0xff; 9], Order::Rising, usize::MAX).unwrap();
        rows.into_iter().map(move |(key, value)| ((tree, key), value))
    };
    Tree::ALL.into_iter().flat_map(rows).collect()
}

/// Commits of every kind: small ones, ones that do not fit into a record, deletions, and enough of
/// them to be folded.
fn history(commits: usize) -> Vec<Batch> {
    let mut rng = StdRng::seed_from_u64(7);
    let commit = |n: usize| {
        let writes = (0..rng.random_range(1..6)).map(|_| {
            let key = vec![rng.random_range(0..40u8)];
            let length = if n % 31 == 30 { recent::MAX_RECORD } else { rng.random_range(0..600) };
            let mut value = vec![0; length];
            rng.fill_bytes(&mut value);
            let tree = Tree::ALL[rng.random_range(0..3usize)];
            (tree, key, rng.random_bool(0.8).then_some(value))
        });
        Batch { writes: writes.collect() }
    };
    (0..commits).map(commit).collect()
}

fn apply(rows: &mut Rows, batch: &Batch) {
    for (tree, key, value) in &batch.writes {
        match value {
            Some(value) => rows.insert((*tree, key.clone()), value.clone()),
            None => rows.remove(&(*tree, key.clone())),
        };
    }
}

/// What the looker knows.
struct Watch {
    folder: PathBuf,
    synced: Image,
    rng: StdRng,
    /// What must be there.
    before: Rows,
    /// What is there instead once the commit under way is on the disk.
    after: Rows,
    points: u32,
    violations: Vec<String>,
}

impl Watch {
    fn look(&mut self, point: Point, cuts: usize) {
        let now = image(&self.folder);
        // The guard's lock is no data.
        if point == Point::Synced {
            self.synced = now.clone();
        }
        self.check(&format!("killed at {point:?}"), &now, point);
        for cut in 0..cuts {
            let mixed = after_power_cut(&self.synced, &now, &mut self.rng);
            self.check(&format!("power cut {cut} at {point:?}"), &mixed, point);
        }
    }

    fn check(&mut self, what: &str, image: &Image, point: Point) {
        self.points += 1;
        let folder = lay_out(image);
        let violation = match SledStore::open(folder.path()).map(|store| rows(&store)) {
            Ok(found) if found == self.after => None,
            Ok(found)
                if found == self.before && point != Point::Synced && point != Point::Witnessed =>
            {
                None
            }
            Ok(found) if found == self.before => Some("an acknowledged commit is gone".to_owned()),
            Ok(found) => Some(format!(
                "{} rows, where {} or {} belong",
                found.len(),
                self.before.len(),
                self.after.len()
            )),
            Err(error) => Some(error.to_string()),
        };
        self.violations.extend(violation.map(|why| format!("{what}: {why}")));
    }
}

#[test]
fn every_commit_outlives_a_kill_and_a_power_cut_at_every_point_of_it() {
    let long = std::env::var_os("KITH_LONG").is_some();
    let (commits, cuts) = if long { (200, 4) } else { (70, 2) };
    let folder = tempfile::tempdir().unwrap();
    let store = SledStore::open(folder.path()).unwrap();
    let watch = std::rc::Rc::new(RefCell::new(Watch {
        folder: folder.path().to_owned(),
        synced: image(folder.path()),
        rng: StdRng::seed_from_u64(8),
        before: Rows::new(),
        after: Rows::new(),
        points: 0,
        violations: Vec::new(),
    }));
    for (n, batch) in history(commits).into_iter().enumerate() {
        apply(&mut watch.borrow_mut().after, &batch);
        let looking = std::rc::Rc::clone(&watch);
        let probe: Probe = Box::new(move |point| looking.borrow_mut().look(point, cuts));
        PROBE.with_borrow_mut(|place| *place = Some(probe));
        store.commit(batch).unwrap();
        PROBE.with_borrow_mut(Option::take);
        let mut watch = watch.borrow_mut();
        watch.before = watch.after.clone();
        assert!(watch.violations.is_empty(), "commit {n}: {:#?}", watch.violations);
    }
    println!("{} points, 0 violations", watch.borrow().points);
}
