//! The connection to `envbox.db`: how it is opened, migrated, read and
//! written, and what its errors mean. It knows no table.
//!
//! A connection must not cross a fork, and no other descriptor of the file
//! may be closed while it is open: SQLite's POSIX locks would go with it
//! (fcntl(2), "Record locks"). Hence nothing else in envbox opens the file.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::types::Type;
use rusqlite::{Connection, ErrorCode, OpenFlags, Row, Transaction, TransactionBehavior};

use crate::error::{Error, Kind, Result};
use crate::fs::{self, Timestamp};

/// "envb": what file(1) and SQLite tell the file by.
const APPLICATION_ID: i32 = 0x656e_7662;

/// How long a command waits for another one's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The size in bytes from which on the log is copied into the file and emptied,
/// a hundred pages. Nobody does that on close, so the first opener reads the
/// whole log: with SQLite's thousand pages that took most of the time in which
/// `run` finds its image.
const MAX_LOG: u64 = 100 * 4096;

/// The log's file, beside the database's.
const LOG: &str = "envbox.db-wal";

/// The scripts that lead from an empty file to the newest schema; the number
/// of those that ran is the file's `user_version`.
const MIGRATIONS: &[&str] = &[
    include_str!("schema_1.sql"),
    include_str!("schema_2.sql"),
    include_str!("schema_3.sql"),
    include_str!("schema_4.sql"),
];

/// What to do about a database that is lost.
pub(super) const REMEDY: &str =
    "rebuild it of what lies in the store: envbox system check --repair; or restore a backup";

/// File systems without shared memory between hosts, which WAL needs
/// (sqlite.org/wal.html); the numbers are statfs(2)'s.
const NETWORK_FILE_SYSTEMS: [u32; 4] = [
    0x6969,      // NFS_SUPER_MAGIC
    0xff53_4d42, // CIFS_SUPER_MAGIC
    0xfe53_4d42, // SMB2_SUPER_MAGIC
    0x0102_1997, // V9FS_MAGIC
];

/// Why work inside the database failed: SQLite said no, or the work did.
pub(super) enum Failure {
    /// SQLite's own error; [`Database`] adds what was being done, and where.
    Sql(rusqlite::Error),
    /// An error that is already complete.
    Told(Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Told(error)
    }
}

/// An open database.
#[derive(Debug)]
pub(super) struct Database {
    connection: Connection,
    path: PathBuf,
    /// Device and number of the file.
    inode: Option<(u64, u64)>,
}

/// How the schema of a file stands to that of this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Schema {
    /// The same.
    Current,
    /// There is nothing in it.
    Nothing,
    /// Migrations are to be run.
    Older,
    /// Made by a newer program: its `user_version`.
    Newer(usize),
}

impl Database {
    /// Opens `path`, creating it if `create`.
    ///
    /// # Errors
    /// `NotFound` if it is missing and not to be created; `Denied` where the
    /// file system is read-only.
    pub(super) fn open(path: &Path, create: bool) -> Result<Self> {
        let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        if create {
            flags |= OpenFlags::SQLITE_OPEN_CREATE;
        } else if crate::fs::metadata(path)?.is_none() {
            return Err(Error::not_found(format!("{} is missing", path.display())).hint(REMEDY));
        }
        let open = || {
            let connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(BUSY_TIMEOUT)?;
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true)?;
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            // See `shorten_log`.
            connection.pragma_update(None, "wal_autocheckpoint", 0)?;
            if is_on_network(path) {
                set_journal(&connection, "DELETE")?;
            } else if create {
                set_journal(&connection, "WAL")?;
            }
            Ok(connection)
        };
        let connection = open().map_err(|error| sql_error("open", path, error))?;
        Ok(Self { connection, path: path.to_owned(), inode: inode(path) })
    }

    /// True if another file is in the place of the one that was opened.
    pub(super) fn is_replaced(&self) -> bool {
        inode(&self.path) != self.inode
    }

    /// How the file's schema stands to ours.
    ///
    /// # Errors
    /// `Invalid` if the file is another program's.
    pub(super) fn schema(&self) -> Result<Schema> {
        self.schema_of(MIGRATIONS)
    }

    /// Brings the schema up to date, in one transaction. The caller holds the
    /// store's lock exclusively.
    ///
    /// # Errors
    /// SQLite's.
    pub(super) fn migrate(&self) -> Result<()> {
        self.migrate_by(MIGRATIONS)
    }

    fn schema_of(&self, migrations: &[&str]) -> Result<Schema> {
        let (application, version) = self.read("read", |connection| {
            let value =
                |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
            Ok((value("application_id")?, value("user_version")?))
        })?;
        if (application, version) == (0, 0) {
            return Ok(Schema::Nothing);
        }
        if application != APPLICATION_ID {
            let path = self.path.display();
            return Err(Error::invalid(format!("{path} is not a database of envbox")).hint(REMEDY));
        }
        let version = usize::try_from(version).unwrap_or(0);
        Ok(match version.cmp(&migrations.len()) {
            std::cmp::Ordering::Less => Schema::Older,
            std::cmp::Ordering::Equal => Schema::Current,
            std::cmp::Ordering::Greater => Schema::Newer(version),
        })
    }

    fn migrate_by(&self, migrations: &[&str]) -> Result<()> {
        self.write("migrate", |transaction| {
            // Another process may have migrated while this one waited.
            let done: i32 =
                transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
            for script in migrations.iter().skip(usize::try_from(done).unwrap_or(0)) {
                transaction.execute_batch(script)?;
            }
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.pragma_update(None, "user_version", integer(migrations.len() as u64))?;
            Ok(())
        })
    }

    /// Runs `work`, which only reads, all of it from one state of the database;
    /// `doing` completes "cannot ... PATH".
    ///
    /// # Errors
    /// Those of `work`; SQLite's with `doing` and the path.
    pub(super) fn read<T>(
        &self,
        doing: &str,
        work: impl FnOnce(&Connection) -> Result<T, Failure>,
    ) -> Result<T> {
        let run = || {
            let transaction = self.connection.unchecked_transaction()?;
            let value = work(&transaction)?;
            transaction.commit()?;
            Ok(value)
        };
        run().map_err(|failure| self.explain(doing, failure))
    }

    /// Runs `work` in one transaction that holds the write lock from its
    /// start (`BEGIN IMMEDIATE`), so that what it reads stays true.
    ///
    /// # Errors
    /// As [`Database::read`]; nothing is changed then.
    pub(super) fn write<T>(
        &self,
        doing: &str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>,
    ) -> Result<T> {
        let run = || {
            let transaction =
                Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?;
            let value = work(&transaction)?;
            transaction.commit()?;
            Ok(value)
        };
        let value = run().map_err(|failure| self.explain(doing, failure))?;
        self.shorten_log();
        Ok(value)
    }

    /// Copies the log into the file, synced, and closes it: it is whole without
    /// what lies beside it.
    ///
    /// # Errors
    /// SQLite's.
    pub(super) fn finish(self) -> Result<()> {
        // Not within a transaction, which would be in its way.
        let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
        let is_busy = self.connection.query_row(checkpoint, [], |row| row.get::<_, bool>(0));
        match is_busy.map_err(|error| sql_error("write", &self.path, error))? {
            true => Err(Error::internal(format!("{} is in use", self.path.display()))),
            false => Ok(()),
        }
    }

    /// Copies the log into the file and empties it, where it has grown. SQLite's
    /// own way does not empty it, which the next transaction of the same process
    /// does; most of ours have but one, and whoever opens the database alone
    /// does not know what was copied before (SQLite, "WAL-mode File Format",
    /// "Recovery"): the log would grow with every command, and each would copy
    /// all of it.
    fn shorten_log(&self) {
        let log = fs::metadata(&self.path.with_file_name(LOG));
        if !log.is_ok_and(|found| found.is_some_and(|found| found.size > MAX_LOG)) {
            return;
        }
        // Where somebody reads or writes just now, or the disk is full, the log
        // stays: another command finds it longer still.
        let _ = self.connection.busy_timeout(Duration::ZERO);
        let _ = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        let _ = self.connection.busy_timeout(BUSY_TIMEOUT);
    }

    fn explain(&self, doing: &str, failure: Failure) -> Error {
        match failure {
            Failure::Told(error) => error,
            Failure::Sql(error) => sql_error(doing, &self.path, error),
        }
    }
}

fn inode(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().flatten().map(|found| found.inode)
}

fn set_journal(connection: &Connection, mode: &str) -> rusqlite::Result<()> {
    connection.pragma_update_and_check(None, "journal_mode", mode, |_| Ok(()))
}

/// False where it cannot be told: then SQLite finds out by itself.
fn is_on_network(path: &Path) -> bool {
    let folder = path.parent().unwrap_or(path);
    rustix::fs::statfs(folder).is_ok_and(|status| {
        // The field is a signed word whose width differs between machines;
        // the magic numbers are 32 bits.
        NETWORK_FILE_SYSTEMS.contains(&((status.f_type as u64 & 0xffff_ffff) as u32))
    })
}

fn sql_error(doing: &str, path: &Path, error: rusqlite::Error) -> Error {
    let (kind, hint) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            (Kind::Unavailable, Some("another envbox holds it; try again"))
        }
        Some(ErrorCode::DiskFull) => {
            (Kind::Unavailable, Some("free space, or put the store elsewhere with --root"))
        }
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            (Kind::Denied, Some("make the store writable, or choose another with --root"))
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => (Kind::Invalid, Some(REMEDY)),
        _ => (Kind::Internal, None),
    };
    let told = Error::new(kind, format!("cannot {doing} {}", path.display())).because(error);
    match hint {
        Some(hint) => told.hint(hint),
        None => told,
    }
}

/// Column `index` of `row`, parsed from its text.
pub(super) fn parsed<T: FromStr<Err = Error>>(row: &Row<'_>, index: usize) -> rusqlite::Result<T> {
    parse_text(index, row.get_ref(index)?.as_str()?)
}

/// As [`parsed`], with `None` for NULL.
pub(super) fn parsed_optional<T: FromStr<Err = Error>>(
    row: &Row<'_>,
    index: usize,
) -> rusqlite::Result<Option<T>> {
    match row.get_ref(index)?.as_str_or_null()? {
        Some(text) => parse_text(index, text).map(Some),
        None => Ok(None),
    }
}

/// `text`, which column `index` holds, parsed.
pub(super) fn parse_text<T: FromStr<Err = Error>>(index: usize, text: &str) -> rusqlite::Result<T> {
    text.parse().map_err(|error: Error| unreadable(index, error))
}

/// The error of a column that holds what this program never wrote.
pub(super) fn unreadable(
    index: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(index, Type::Text, Box::new(error))
}

/// The time in columns `index` (seconds) and `index + 1` (nanoseconds);
/// `None` for NULL.
pub(super) fn time(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<Timestamp>> {
    let Some(seconds) = row.get(index)? else { return Ok(None) };
    Ok(Some(Timestamp { seconds, nanoseconds: row.get(index + 1)? }))
}

/// The size in column `index`.
pub(super) fn size(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(index)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(index, value))
}

/// A size as SQLite has it: signed. No file system holds 8 EiB.
pub(super) fn integer(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room() -> (tempfile::TempDir, PathBuf) {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("envbox.db");
        (room, path)
    }

    #[test]
    fn migrates_step_by_step_and_only_once() {
        let (_room, path) = room();
        let steps = ["CREATE TABLE a (x);", "ALTER TABLE a ADD COLUMN y;"];
        let database = Database::open(&path, true).unwrap();
        database.migrate_by(&steps[..1]).unwrap();
        assert_eq!(database.schema_of(&steps).unwrap(), Schema::Older);
        database.migrate_by(&steps).unwrap();
        database.migrate_by(&steps).unwrap();
        assert_eq!(database.schema_of(&steps).unwrap(), Schema::Current);
        assert_eq!(database.schema_of(&steps[..1]).unwrap(), Schema::Newer(2));
    }

    #[test]
    fn a_failed_migration_changes_nothing() {
        let (_room, path) = room();
        let database = Database::open(&path, true).unwrap();
        let steps = ["CREATE TABLE a (x);", "CREATE NONSENSE;"];
        assert!(database.migrate_by(&steps).is_err());
        assert_eq!(database.schema_of(&steps).unwrap(), Schema::Nothing);
        database.migrate_by(&steps[..1]).unwrap();
    }

    #[test]
    fn refuses_the_database_of_another_program() {
        let (_room, path) = room();
        let other = Connection::open(&path).unwrap();
        other.pragma_update(None, "application_id", 7).unwrap();
        drop(other);
        let database = Database::open(&path, false).unwrap();
        assert_eq!(database.schema().unwrap_err().kind(), Kind::Invalid);
    }

    #[test]
    fn a_local_file_is_in_wal_mode_and_keeps_its_log_on_close() {
        let (_room, path) = room();
        let database = Database::open(&path, true).unwrap();
        database.migrate().unwrap();
        drop(database);
        let wal = crate::fs::metadata(&path.with_file_name("envbox.db-wal")).unwrap();
        assert!(wal.is_some_and(|wal| wal.size > 0));
    }

    #[test]
    fn the_log_stays_short_whoever_writes_alone() {
        let (_room, path) = room();
        Database::open(&path, true).unwrap().migrate_by(&["CREATE TABLE a (x);"]).unwrap();
        let size = || {
            let log = crate::fs::metadata(&path.with_file_name(LOG)).unwrap();
            log.map_or(0, |log| log.size)
        };
        let write = |database: &Database| {
            let insert = "INSERT INTO a VALUES (zeroblob(100000))";
            database.write("write", |transaction| Ok(transaction.execute(insert, [])?)).unwrap();
        };
        for _ in 0..20 {
            write(&Database::open(&path, false).unwrap());
            assert!(size() < 2 * MAX_LOG, "{}", size());
        }
        // Who reads an older state keeps the log, and is not waited for.
        let reader = Database::open(&path, false).unwrap();
        reader
            .read("read", |connection| {
                let count = || connection.query_row("SELECT count(*) FROM a", [], |row| row.get(0));
                let before: i64 = count()?;
                for _ in 0..10 {
                    write(&Database::open(&path, false).unwrap());
                }
                assert!(size() > 2 * MAX_LOG);
                assert_eq!(count()?, before);
                Ok(())
            })
            .unwrap();
        write(&Database::open(&path, false).unwrap());
        assert_eq!(size(), 0);
    }

    #[test]
    fn a_missing_file_is_told_not_made() {
        let (_room, path) = room();
        assert_eq!(Database::open(&path, false).unwrap_err().kind(), Kind::NotFound);
        assert_eq!(crate::fs::metadata(&path).unwrap(), None);
    }
}
