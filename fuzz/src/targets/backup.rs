//! Backups: opened as they were written, or not at all.

use std::ops::Range;
use std::sync::LazyLock;

use crypto::backup::{
    BACKUP_CHUNK, BACKUP_HEADER_LEN, BACKUP_SEALED_CHUNK, BackupReader, BackupWriter,
};
use crypto::{Secret, Seed};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// Most changes that are made to one file.
const EDITS: usize = 8;

static SEED: Seed = Seed::from_secret(Secret::from_bytes([1; 32]));

/// Two backups of one person.
static MADE: LazyLock<[Made; 2]> =
    LazyLock::new(|| [Made::new(b"words", 1), Made::new(&vec![7; 3 * BACKUP_CHUNK + 5], 2)]);

struct Made {
    content: Vec<u8>,
    file: Vec<u8>,
}

impl Made {
    fn new(content: &[u8], seed: u64) -> Self {
        let (mut writer, mut file) = BackupWriter::new(&SEED, &mut StdRng::seed_from_u64(seed));
        for piece in content.chunks(10_000) {
            file.extend(writer.write(piece).expect("a short one"));
        }
        file.extend(writer.finish().expect("a short one"));
        Self { content: content.to_vec(), file }
    }

    /// Whether that is what was read of it: the content, and zeros behind it.
    fn is_read(&self, read: &[u8]) -> bool {
        read.strip_prefix(&self.content[..]).is_some_and(|rest| rest.iter().all(|byte| *byte == 0))
    }
}

/// The first byte says what the file is: the bytes themselves, the bytes under a good header, a good file with
/// so many changes, or a new one of that content.
pub fn backup(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else { return };
    match kind % 4 {
        0 => _ = open(data),
        1 => {
            let header = &MADE[0].file[..BACKUP_HEADER_LEN];
            assert!(open(&[header, data].concat()).is_none(), "nobody sealed it");
        }
        2 => changed(data),
        _ => {
            let made = Made::new(data, 3);
            assert!(open(&made.file).is_some_and(|read| made.is_read(&read)));
        }
    }
}

/// What a restore reads, chunk by chunk; nothing unless the last one was there.
fn open(file: &[u8]) -> Option<Vec<u8>> {
    let (header, chunks) = file.split_at_checked(BACKUP_HEADER_LEN).unwrap_or((file, &[]));
    let mut reader = BackupReader::new(&SEED, header).ok()?;
    let count = chunks.len().div_ceil(BACKUP_SEALED_CHUNK);
    let mut content = Vec::new();
    for (n, chunk) in chunks.chunks(BACKUP_SEALED_CHUNK).enumerate() {
        content.extend_from_slice(&reader.read(chunk, n + 1 == count).ok()?);
    }
    (count > 0).then_some(content)
}

/// What was changed is refused, unless it has become a whole file again.
fn changed(edits: &[u8]) {
    let [one, other] = &*MADE;
    let mut file = one.file.clone();
    for edit in edits.as_chunks::<4>().0.iter().take(EDITS) {
        change(&mut file, &other.file, *edit);
    }
    let whole = MADE.iter().find(|made| made.file == file);
    match (open(&file), whole) {
        (Some(read), Some(made)) => assert!(made.is_read(&read)),
        (read, whole) => assert_eq!(read.is_some(), whole.is_some()),
    }
}

/// Cuts a file, alters it, moves chunks in it, or joins it with the other.
fn change(file: &mut Vec<u8>, other: &[u8], [kind, first, second, third]: [u8; 4]) {
    let one = chunk(file, first);
    let at = one.start + usize::from(u16::from_be_bytes([second, third]));
    match kind % 8 {
        0 => file.truncate(at),
        1 => file.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= kind),
        2 => {
            let at = usize::from(first) % BACKUP_HEADER_LEN;
            file.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= second | 1);
        }
        3 => drop(file.drain(one)),
        4 => {
            let (copy, to) = (file[one].to_vec(), chunk(file, second).start);
            drop(file.splice(to..to, copy));
        }
        5 => {
            let two = chunk(file, second);
            if one.len() == two.len() {
                one.zip(two).for_each(|(one, two)| file.swap(one, two));
            }
        }
        6 => drop(file.splice(one, other[chunk(other, second)].iter().copied())),
        _ => {
            let header = ..BACKUP_HEADER_LEN.min(file.len());
            drop(file.splice(header, other[..BACKUP_HEADER_LEN].iter().copied()));
        }
    }
}

/// Where a chunk is, counted around.
fn chunk(file: &[u8], number: u8) -> Range<usize> {
    let chunks = file.len().saturating_sub(BACKUP_HEADER_LEN).div_ceil(BACKUP_SEALED_CHUNK);
    let start = BACKUP_HEADER_LEN + usize::from(number) % chunks.max(1) * BACKUP_SEALED_CHUNK;
    start.min(file.len())..(start + BACKUP_SEALED_CHUNK).min(file.len())
}
