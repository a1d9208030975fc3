//! The disk is as bad as it says: each of its faults, seen happen.

use std::{collections::BTreeSet, io::IoSlice, sync::mpsc::sync_channel};

use weir_core::threads::{JoinHandle, Threads};

use super::{content::SECTOR_BYTES, *};

const BYTES: usize = 8 * SECTOR_BYTES;
const SEEDS: u64 = 200;

fn path() -> &'static Path {
    Path::new("data/file")
}

/// A disk with one file of zeros, its bytes and its name synced.
fn with_file(seed: u64) -> (FaultDisk, Box<dyn DiskFile>) {
    let disk = FaultDisk::new(seed, 1 << 20);
    let file = disk.lay_out(path(), BYTES as u64, true).unwrap();
    disk.sync_folder(Path::new("data")).unwrap();
    (disk, file)
}

fn write(file: &dyn DiskFile, offset: usize, data: &[u8]) -> io::Result<usize> {
    file.write_at(offset as u64, &[IoSlice::new(data)])
}

/// The first byte of each sector.
fn sectors(bytes: &[u8]) -> Vec<u8> {
    bytes.chunks(SECTOR_BYTES).map(|sector| sector[0]).collect()
}

#[test]
fn unsynced_sectors_are_kept_and_lost_in_every_combination_and_synced_ones_stay() {
    let mut seen = BTreeSet::new();
    for seed in 0..SEEDS {
        let (disk, file) = with_file(1);
        write(file.as_ref(), 0, &[1; SECTOR_BYTES]).unwrap();
        file.sync_data().unwrap();
        write(file.as_ref(), 2 * SECTOR_BYTES, &[2; SECTOR_BYTES]).unwrap();
        write(file.as_ref(), 4 * SECTOR_BYTES, &[3; SECTOR_BYTES]).unwrap();
        assert_eq!(sectors(&disk.contents(path()).unwrap()), [1, 0, 2, 0, 3, 0, 0, 0]);
        let after = disk.after_power_loss(seed).contents(path()).unwrap();
        assert_eq!(after[..2 * SECTOR_BYTES], [[1; SECTOR_BYTES], [0; SECTOR_BYTES]].concat());
        let whole =
            |at: usize, with: u8| after[at * SECTOR_BYTES..][..SECTOR_BYTES].iter().all(|b| *b == with);
        let state = |at, new| match (whole(at, new), whole(at, 0)) {
            (true, _) => "kept",
            (_, true) => "lost",
            _ => "torn",
        };
        seen.insert((state(2, 2), state(4, 3)));
    }
    // The later write without the earlier one is among them: they reach the disk in no order.
    let all = ["kept", "lost", "torn"];
    let combinations: BTreeSet<_> = all.iter().flat_map(|a| all.iter().map(|b| (*a, *b))).collect();
    assert_eq!(seen, combinations);
}

#[test]
fn a_torn_sector_has_new_bytes_in_front_or_behind_and_old_ones_for_the_rest() {
    let mut seen = BTreeSet::new();
    for seed in 0..SEEDS {
        let (disk, file) = with_file(1);
        write(file.as_ref(), 0, &[1; SECTOR_BYTES]).unwrap();
        file.sync_data().unwrap();
        write(file.as_ref(), 0, &[2; SECTOR_BYTES]).unwrap();
        let mut after = disk.after_power_loss(seed).contents(path()).unwrap();
        after.truncate(SECTOR_BYTES);
        after.dedup();
        seen.insert(after);
    }
    assert_eq!(seen, BTreeSet::from([vec![1], vec![2], vec![1, 2], vec![2, 1]]));
}

#[test]
fn what_a_failed_sync_has_lost_no_later_sync_and_no_restart_brings_back_but_writing_it_again_does() {
    let mut lost = 0;
    for seed in 0..SEEDS {
        let (disk, file) = with_file(seed);
        write(file.as_ref(), 0, &[7; SECTOR_BYTES]).unwrap();
        disk.fail_next(Operation::Sync, Errno::EIO);
        assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(Errno::EIO as i32));
        file.sync_data().expect("the kernel has forgotten");
        let disk = disk.after_kill(seed);
        let file = disk.open(path()).unwrap();
        file.sync_data().unwrap();
        assert_eq!(disk.contents(path()).unwrap()[0], 7, "it is read from memory");
        let is_lost = sectors(&disk.after_power_loss(seed).contents(path()).unwrap())[0] == 0;
        lost += u64::from(is_lost);
        write(file.as_ref(), 0, &[7; SECTOR_BYTES]).unwrap();
        file.sync_data().unwrap();
        assert_eq!(disk.after_power_loss(seed).contents(path()).unwrap()[..SECTOR_BYTES], [7; SECTOR_BYTES]);
    }
    assert!(lost > SEEDS / 4 && lost < SEEDS, "{lost} of {SEEDS}");
}

#[test]
fn a_kill_keeps_what_was_written_and_leaves_it_as_unsynced_as_it_was() {
    let mut lost = 0;
    for seed in 0..SEEDS {
        let (disk, file) = with_file(1);
        write(file.as_ref(), 0, &[7; SECTOR_BYTES]).unwrap();
        disk.rename(path(), Path::new("data/other")).unwrap();
        let killed = disk.after_kill(1);
        assert_eq!(killed.contents(Path::new("data/other")).unwrap()[0], 7);
        let after = killed.after_power_loss(seed);
        let name = after.paths().pop().unwrap();
        let names_lost = name == path();
        lost += u64::from(names_lost && after.contents(&name).unwrap()[..SECTOR_BYTES] == [0; SECTOR_BYTES]);
    }
    assert!(lost > 0, "neither the bytes nor the name was synced");
}

#[test]
fn the_power_goes_in_the_middle_of_a_change_and_nothing_works_after_it() {
    for change in 3..=5 {
        let (disk, file) = with_file(1);
        disk.lose_power_at(change);
        let outcomes = [
            write(file.as_ref(), 0, &[1; 8]).map(drop),
            file.sync_data(),
            disk.rename(path(), Path::new("data/b")),
        ];
        let first_failed = outcomes.iter().position(Result::is_err).unwrap() as u64;
        assert_eq!(first_failed + 3, change);
        assert!(!disk.is_powered() && outcomes.iter().skip(first_failed as usize).all(Result::is_err));
        assert!(file.read_at(0, &mut [0; 8]).is_err() && disk.sync_folder(Path::new("data")).is_err());
        assert!(
            disk.after_power_loss(1).open(path()).is_ok_and(|file| file.read_at(0, &mut [0]).is_ok())
                || change == 5
        );
    }
}

#[test]
fn a_fault_comes_when_its_turn_is_and_once() {
    let (disk, file) = with_file(1);
    disk.fail_after(Operation::Write, 2, Errno::ENOSPC);
    disk.fail_after(Operation::Read, 1, Errno::EIO);
    let outcomes: Vec<_> = (0..5).map(|_| write(file.as_ref(), 0, &[1]).is_ok()).collect();
    assert_eq!(outcomes, [true, true, false, true, true]);
    let outcomes: Vec<_> = (0..3).map(|_| file.read_at(0, &mut [0]).is_ok()).collect();
    assert_eq!(outcomes, [true, false, true]);
    assert_eq!(disk.faults_happened(), 2);
    disk.fail_next(Operation::Sync, Errno::EIO);
    disk.mend();
    file.sync_data().unwrap();
}

#[test]
fn a_write_or_a_lay_out_that_fails_may_have_been_done_in_part() {
    let (mut written, mut laid_out) = (BTreeSet::new(), BTreeSet::new());
    for seed in 0..SEEDS {
        let (disk, file) = with_file(seed);
        disk.fail_next(Operation::Write, Errno::ENOSPC);
        assert!(write(file.as_ref(), 0, &[1; BYTES]).is_err());
        written.insert(disk.contents(path()).unwrap().iter().filter(|byte| **byte == 1).count());
        disk.fail_next(Operation::LayOut, Errno::EIO);
        let half = Path::new("data/half");
        assert!(disk.lay_out(half, BYTES as u64, true).is_err());
        laid_out.insert(disk.contents(half).unwrap().len());
    }
    for lengths in [written, laid_out] {
        assert!(lengths.len() > 100 && lengths.iter().all(|len| *len <= BYTES), "{lengths:?}");
    }
}

#[test]
fn short_writes_say_how_short_they_were() {
    let (disk, file) = with_file(1);
    disk.shorten_writes();
    let lengths: BTreeSet<_> = (0..100).map(|_| write(file.as_ref(), 0, &[1; 100]).unwrap()).collect();
    assert!(lengths.len() > 20 && lengths.contains(&100) && !lengths.contains(&0), "{lengths:?}");
    let (disk, file) = with_file(1);
    disk.shorten_writes();
    let length = (0..).map(|_| write(file.as_ref(), 0, &[1; 100]).unwrap()).find(|len| *len < 100).unwrap();
    let longest = disk.contents(path()).unwrap().iter().filter(|byte| **byte == 1).count();
    assert!(longest >= length && longest <= 100);
}

#[test]
fn names_are_durable_when_the_folder_was_synced_and_else_lost_from_the_last_one_on() {
    let renamed = |name: &str| PathBuf::from(format!("data/{name}"));
    let mut seen = BTreeSet::new();
    for seed in 0..SEEDS {
        let (disk, _file) = with_file(1);
        disk.rename(path(), &renamed("a")).unwrap();
        disk.fail_next(Operation::SyncFolder, Errno::EIO);
        assert!(disk.sync_folder(Path::new("data")).is_err());
        disk.rename(&renamed("a"), &renamed("b")).unwrap();
        disk.fail_next(Operation::Rename, Errno::EIO);
        disk.fail_next(Operation::Remove, Errno::EIO);
        assert!(disk.rename(&renamed("b"), &renamed("c")).is_err() && disk.remove(&renamed("b")).is_err());
        assert_eq!(disk.paths(), [renamed("b")], "what failed has not happened");
        seen.extend(disk.after_power_loss(seed).paths());
        disk.sync_folder(Path::new("data")).unwrap();
        assert_eq!(disk.after_power_loss(seed).paths(), [renamed("b")]);
    }
    assert_eq!(seen, BTreeSet::from([path().to_owned(), renamed("a"), renamed("b")]));
}

#[test]
fn a_full_disk_lays_out_nothing_until_there_is_room() {
    let (disk, file) = with_file(1);
    disk.set_free_bytes(99);
    let more = Path::new("data/more");
    let refused = disk.lay_out(more, 100, true).unwrap_err();
    assert_eq!((refused.kind(), disk.paths().len()), (io::ErrorKind::StorageFull, 1));
    let free = || disk.free_bytes(Path::new("data")).unwrap();
    disk.remove(path()).unwrap();
    assert_eq!(free(), 99, "it is still open");
    for crashed in [disk.after_kill(1), disk.after_power_loss(1)] {
        assert_eq!(crashed.free_bytes(Path::new("data")).unwrap(), 99 + BYTES as u64);
    }
    file.give_back_behind(BYTES as u64 - 1);
    assert_eq!(free(), 100);
    drop(file);
    assert_eq!(free(), 99 + BYTES as u64);
    drop(disk.lay_out(more, 100, true).unwrap());
    disk.remove(more).unwrap();
    assert_eq!(free(), 99 + BYTES as u64, "nobody has it open");
}

/// Syncs on a thread of its own and returns when it is held up.
fn held_sync(disk: &FaultDisk, file: Box<dyn DiskFile>) -> (Hold, JoinHandle<io::Result<()>>) {
    let (met, is_met) = sync_channel(1);
    let hold = disk.hold(Operation::Sync, move || met.send(()).unwrap());
    let syncing = Threads::new().spawn("syncing", move || file.sync_data()).unwrap();
    is_met.recv().unwrap();
    (hold, syncing)
}

#[test]
fn what_is_held_up_waits_until_it_is_let_go_and_the_rest_goes_on() {
    let (disk, file) = with_file(1);
    write(file.as_ref(), 0, &[1; SECTOR_BYTES]).unwrap();
    let (hold, syncing) = held_sync(&disk, file);
    assert!((0..SEEDS).any(|seed| disk.after_power_loss(seed).contents(path()).unwrap()[0] == 0), "not yet");
    drop(hold);
    syncing.join().unwrap().unwrap();
    assert!((0..SEEDS).all(|seed| disk.after_power_loss(seed).contents(path()).unwrap()[0] == 1));
}

#[test]
fn what_is_written_while_a_sync_is_held_up_is_the_next_syncs() {
    let (disk, file) = with_file(1);
    write(file.as_ref(), 0, &[1; SECTOR_BYTES]).unwrap();
    let (hold, syncing) = held_sync(&disk, file);
    let file = disk.open(path()).unwrap();
    write(file.as_ref(), SECTOR_BYTES, &[2; SECTOR_BYTES]).unwrap();
    drop(hold);
    syncing.join().unwrap().unwrap();
    let found = || (0..SEEDS).map(|seed| sectors(&disk.after_power_loss(seed).contents(path()).unwrap()));
    assert!(found().all(|sectors| sectors[0] == 1) && found().any(|sectors| sectors[1] == 0));
    file.sync_data().unwrap();
    assert!(found().all(|sectors| sectors[..2] == [1, 2]));
}

#[test]
fn bad_sectors_do_not_read_until_they_are_written_whatever_happens() {
    let (disk, _file) = with_file(1);
    disk.add_bad_sectors(path(), SECTOR_BYTES..2 * SECTOR_BYTES).unwrap();
    for disk in [disk.clone(), disk.after_kill(1), disk.after_power_loss(1)] {
        let file = disk.open(path()).unwrap();
        let read = |from: usize, bytes: usize| file.read_at(from as u64, &mut vec![0; bytes]);
        assert_eq!(read(0, SECTOR_BYTES).unwrap(), SECTOR_BYTES);
        assert_eq!(read(2 * SECTOR_BYTES, SECTOR_BYTES).unwrap(), SECTOR_BYTES);
        for (from, bytes) in [(0, BYTES), (SECTOR_BYTES - 1, 2), (2 * SECTOR_BYTES - 1, 2)] {
            assert_eq!(
                read(from, bytes).unwrap_err().raw_os_error(),
                Some(Errno::EIO as i32),
                "{from}, {bytes}"
            );
        }
        write(file.as_ref(), SECTOR_BYTES, &[1; SECTOR_BYTES / 2]).unwrap();
        assert!(read(0, BYTES).is_err(), "half of it is still not there");
        write(file.as_ref(), SECTOR_BYTES, &[1; SECTOR_BYTES]).unwrap();
        assert_eq!(read(0, BYTES).unwrap(), BYTES);
    }
}
