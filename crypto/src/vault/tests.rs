#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::fixtures::TestRng;

fn device_key() -> Secret<32> {
    Secret::from_bytes([0xD0; 32])
}

fn vault(rng: &mut TestRng) -> Vault {
    Vault::create(Unlock::DeviceKey(&device_key()), KdfParams::default(), rng).unwrap()
}

fn passphrase(words: &[u8], rng: &mut TestRng) -> Result<VaultLock, KeyFileError> {
    VaultLock::new(Unlock::Passphrase(words), KdfParams::default(), rng)
}

#[test]
fn a_key_file_opens_with_its_device_key_and_gives_the_same_tree_keys() {
    let mut rng = TestRng::new("vault");
    let vault = vault(&mut rng);
    let file = vault.key_file(&mut rng);
    assert_eq!(file.len(), KEY_FILE_LEN);
    let again = Vault::open(&file, Unlock::DeviceKey(&device_key())).unwrap();
    let sealed = vault.tree_key("contacts", 0).seal(b"row", b"value", 3, &mut rng);
    let opened = again.tree_key("contacts", 0).open(b"row", &sealed).unwrap();
    assert_eq!((opened.schema, &opened.value[..]), (3, &b"value"[..]));
    assert_eq!(
        Vault::open(&file, Unlock::DeviceKey(&Secret::from_bytes([1; 32]))).unwrap_err(),
        KeyFileError::WrongSecret
    );
    assert_eq!(
        Vault::open(&file, Unlock::Passphrase(b"guess")).unwrap_err(),
        KeyFileError::WrongMode
    );
}

/// Runs Argon2id at its floor three times.
#[test]
fn a_passphrase_can_be_set_changed_and_must_be_right() {
    let mut rng = TestRng::new("passphrase");
    let vault = vault(&mut rng);
    let probe = vault.tree_key("t", 0).index_key(b"id");
    let vault = vault.behind(passphrase(b"correct horse", &mut rng).unwrap());
    let file = vault.key_file(&mut rng);
    assert_eq!(
        Vault::open(&file, Unlock::Passphrase(b"correct hors")).unwrap_err(),
        KeyFileError::WrongSecret
    );
    let again = Vault::open(&file, Unlock::Passphrase(b"correct horse")).unwrap();
    assert_eq!(again.tree_key("t", 0).index_key(b"id"), probe);
}

#[test]
fn a_key_file_with_any_bit_flipped_is_refused() {
    let mut rng = TestRng::new("flip");
    let file = vault(&mut rng).key_file(&mut rng);
    for bit in 0..file.len() * 8 {
        let mut bytes = file.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        Vault::open(&bytes, Unlock::DeviceKey(&device_key())).unwrap_err();
    }
    for len in 0..file.len() {
        Vault::open(&file[..len], Unlock::DeviceKey(&device_key())).unwrap_err();
    }
    let long = [&file[..], &[0]].concat();
    assert_eq!(
        Vault::open(&long, Unlock::DeviceKey(&device_key())).unwrap_err(),
        KeyFileError::Layout(LayoutError::TrailingBytes)
    );
}

/// A swapped file must neither weaken the stretch nor exhaust memory: refused before Argon2 runs.
#[test]
fn stored_parameters_outside_floor_and_cap_are_refused() {
    let mut rng = TestRng::new("params");
    let mut file = vault(&mut rng).key_file(&mut rng);
    file[9] = MODE_PASSPHRASE;
    for (memory, passes, lanes) in [
        (MIN_MEMORY_KIB - 1, MIN_PASSES, 1),
        (MAX_MEMORY_KIB + 1, MIN_PASSES, 1),
        (u32::MAX, MIN_PASSES, 1),
        (MIN_MEMORY_KIB, MIN_PASSES - 1, 1),
        (MIN_MEMORY_KIB, MAX_PASSES + 1, 1),
        (MIN_MEMORY_KIB, MIN_PASSES, 2),
        (0, 0, 0),
    ] {
        for (slot, value) in file[10..22].chunks_exact_mut(4).zip([memory, passes, lanes]) {
            slot.copy_from_slice(&value.to_be_bytes());
        }
        assert_eq!(
            Vault::open(&file, Unlock::Passphrase(b"any")).unwrap_err(),
            KeyFileError::Params
        );
    }
    assert_eq!(KdfParams::new(MIN_MEMORY_KIB, 2), Err(KeyFileError::Params));
    assert!(KdfParams::new(MAX_MEMORY_KIB, MAX_PASSES).is_ok());
}

#[test]
fn empty_and_endless_passphrases_are_refused() {
    let mut rng = TestRng::new("empty");
    for wrong in [&b""[..], &[b'x'; MAX_PASSPHRASE + 1]] {
        assert_eq!(passphrase(wrong, &mut rng).unwrap_err(), KeyFileError::Passphrase);
    }
    let longest = passphrase(&[b'x'; MAX_PASSPHRASE], &mut rng).unwrap();
    assert_eq!(format!("{longest:?}"), "VaultLock(..)");
}

#[test]
fn a_value_moved_to_another_tree_row_schema_or_generation_is_refused() {
    let mut rng = TestRng::new("swap");
    let vault = vault(&mut rng);
    let tree = vault.tree_key("tree", 0);
    let sealed = tree.seal(b"row", b"value", 1, &mut rng);
    assert!(tree.open(b"row", &sealed).is_ok());
    let mut schema = sealed.clone();
    schema[1] = 2;
    for (key, row, bytes) in [
        (vault.tree_key("eert", 0), &b"row"[..], &sealed),
        (vault.tree_key("tree", 1), b"row", &sealed),
        (vault.erasable_tree_key("tree"), b"row", &sealed),
        (vault.tree_key("tree", 0), b"wor", &sealed),
        (vault.tree_key("tree", 0), b"row", &schema),
    ] {
        assert_eq!(key.open(row, bytes).unwrap_err(), TreeOpenError::Forged);
    }
    for bit in 0..sealed.len() * 8 {
        let mut bytes = sealed.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        tree.open(b"row", &bytes).unwrap_err();
    }
    assert_eq!(tree.open(b"row", &sealed[..41]).unwrap_err(), TreeOpenError::Truncated);
}

#[test]
fn index_keys_are_stable_over_generations_and_differ_between_trees() {
    let mut rng = TestRng::new("index");
    let mut vault = vault(&mut rng);
    let before = vault.erasable_tree_key("ratchets").index_key(b"id");
    vault.rotate_generation(&mut rng).unwrap();
    assert_eq!(vault.erasable_tree_key("ratchets").index_key(b"id"), before);
    assert_ne!(vault.erasable_tree_key("prekeys").index_key(b"id"), before);
}

#[test]
fn what_a_forgotten_generation_sealed_is_gone_for_good() {
    let mut rng = TestRng::new("generation");
    let mut vault = vault(&mut rng);
    assert!(vault.previous_erasable_tree_key("t").is_none());
    let sealed = vault.erasable_tree_key("t").seal(b"k", b"v", 1, &mut rng);
    vault.rotate_generation(&mut rng).unwrap();
    let mut vault =
        Vault::open(&vault.key_file(&mut rng), Unlock::DeviceKey(&device_key())).unwrap();
    assert_eq!(vault.generation(), 1);
    assert!(vault.erasable_tree_key("t").open(b"k", &sealed).is_err());
    assert!(vault.previous_erasable_tree_key("t").unwrap().open(b"k", &sealed).is_ok());
    vault.forget_previous_generation();
    let vault = Vault::open(&vault.key_file(&mut rng), Unlock::DeviceKey(&device_key())).unwrap();
    assert!(vault.previous_erasable_tree_key("t").is_none());
}

/// Rows may be sealed under either key until all were moved.
#[test]
fn no_generation_begins_before_the_one_before_is_forgotten() {
    let mut rng = TestRng::new("twice");
    let mut vault = vault(&mut rng);
    let sealed = vault.erasable_tree_key("t").seal(b"k", b"v", 1, &mut rng);
    vault.undo_generation();
    assert_eq!(vault.generation(), 0, "there was none before the first");
    vault.rotate_generation(&mut rng).unwrap();
    assert_eq!(vault.rotate_generation(&mut rng), Err(StillNeeded));
    assert!(vault.previous_erasable_tree_key("t").unwrap().open(b"k", &sealed).is_ok());
    vault.undo_generation();
    assert_eq!(vault.generation(), 0);
    assert!(vault.erasable_tree_key("t").open(b"k", &sealed).is_ok());
    assert!(vault.previous_erasable_tree_key("t").is_none());
}

#[test]
fn a_key_file_says_what_it_wants() {
    let mut rng = TestRng::new("mode");
    let vault = vault(&mut rng);
    assert_eq!(KeyFileMode::of(&vault.key_file(&mut rng)), Ok(KeyFileMode::DeviceKey));
    let vault = vault.behind(passphrase(b"beans", &mut rng).unwrap());
    let mut file = vault.key_file(&mut rng);
    assert_eq!(KeyFileMode::of(&file), Ok(KeyFileMode::Passphrase));
    assert_eq!(KeyFileMode::of(&file[..7]), Err(KeyFileError::NotAKeyFile));
    file[9] = 3;
    assert_eq!(KeyFileMode::of(&file), Err(KeyFileError::UnknownVersion));
    file[9] = MODE_PASSPHRASE;
    file[8] = 2;
    assert_eq!(KeyFileMode::of(&file), Err(KeyFileError::UnknownVersion));
    file[0] = b'k';
    assert_eq!(KeyFileMode::of(&file), Err(KeyFileError::NotAKeyFile));
}

#[test]
fn the_cost_follows_the_machine_between_floor_and_cap() {
    for (floor_ms, target_ms, times, passes) in [
        (620, 700, 1, 3),
        (2_000, 700, 1, 3),
        (200, 700, 3, 3),
        (100, 700, 4, 3),
        (80, 700, 4, 6),
        (1, 700, 4, 64),
        (0, 700, 4, 64),
    ] {
        let cost = KdfParams::for_machine(floor_ms, target_ms);
        assert_eq!(cost.memory_kib(), times * MIN_MEMORY_KIB, "{floor_ms}");
        assert_eq!(cost.passes(), passes, "{floor_ms}");
        assert_eq!(KdfParams::new(cost.memory_kib(), cost.passes()), Ok(cost));
    }
}

#[test]
fn the_first_key_file_and_value_are_frozen() {
    let mut rng = TestRng::new("frozen vault");
    let vault = vault(&mut rng);
    let tree = vault.tree_key("contacts", 0);
    let frozen = format!(
        "key file {}\nvalue    {}\nindex    {}",
        data_encoding::HEXLOWER.encode(&vault.key_file(&mut rng)),
        data_encoding::HEXLOWER.encode(&tree.seal(b"row", b"value", 1, &mut rng)),
        data_encoding::HEXLOWER.encode(&tree.index_key(b"id")),
    );
    insta::assert_snapshot!("vault", frozen);
}

#[test]
fn debug_hides_every_key() {
    let mut rng = TestRng::new("debug");
    let vault = vault(&mut rng);
    let tree = vault.tree_key("t", 0);
    let value = tree.open(b"k", &tree.seal(b"k", b"v", 1, &mut rng)).unwrap();
    let shown = format!(
        "{vault:?}\n{tree:?}\n{value:?}\n{:?}\n{:?}",
        Unlock::Passphrase(b"secret"),
        Unlock::DeviceKey(&device_key())
    );
    insta::assert_snapshot!("debug", shown);
}

/// The vectors of the reference implementation that have our layout: one lane, 64 MiB, no secret.
#[test]
fn bounds_and_sizes_are_the_published_ones() {
    assert_eq!([MIN_MEMORY_KIB, MAX_MEMORY_KIB], [65_536, 1_048_576]);
    assert_eq!((MIN_PASSES, MAX_PASSES, MAX_PASSPHRASE), (3, 64, 1024));
    assert_eq!((KEY_FILE_LEN, TREE_VALUE_OVERHEAD), (70 + 24 + 100 + 16, 42));
}

#[test]
fn argon2id_stretches_as_the_reference_does() {
    for (passes, expected) in [
        (2, "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7"),
        (4, "9025d48e68ef7395cca9079da4c4ec3affb3c8911fe4f86d1a2520856f63172c"),
    ] {
        let params = Params::new(MIN_MEMORY_KIB, passes, 1, Some(32)).unwrap();
        let stretched = stretch(b"password", b"somesalt", params).unwrap();
        assert_eq!(data_encoding::HEXLOWER.encode(stretched.expose()), expected);
    }
}
