//! Files in the ledger's folder that its tree does not need.

use std::fs;

use bailiwick_tlog::{AuditError, ReadError, TileId, audit_leftover};

use crate::error::StoreError;
use crate::ledger::LedgerFiles;

use super::{Audit, first_of};

impl Audit<'_, '_> {
    /// Files that the tree does not need: replaced partial tiles must be the
    /// beginning of what replaced them; anything else does not belong there.
    pub(super) fn leftovers(&mut self, files: &LedgerFiles) -> Result<(), StoreError> {
        let root = self.input.ledger();
        let mut folders = vec!["tile".to_owned()];
        while let Some(folder) = folders.pop() {
            let during = "read the ledger";
            let listed = match fs::read_dir(root.join(&folder)) {
                Ok(listed) => listed,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                Err(e) => return Err(StoreError::io(during, &e)),
            };
            for item in listed {
                let item = item.map_err(|e| StoreError::io(during, &e))?;
                let name = item.file_name().to_string_lossy().into_owned();
                let path = format!("{folder}/{name}");
                let kind = item.file_type().map_err(|e| StoreError::io(during, &e))?;
                if kind.is_dir() {
                    folders.push(path);
                } else if !name.starts_with(".tmp-") {
                    self.leftover(files, &path)?;
                }
            }
        }
        Ok(())
    }

    fn leftover(&mut self, files: &LedgerFiles, path: &str) -> Result<(), StoreError> {
        let size = self.report.size;
        let Ok(id) = TileId::parse(path) else {
            self.report.add("unexpected-file", None, format!("`{path}` is no tile"));
            return Ok(());
        };
        if TileId::at(id.kind(), id.index(), size) == Some(id) {
            return Ok(());
        }
        match audit_leftover(files, id, size) {
            Ok(true) => self.report.tiles += 1,
            Ok(false) => self.report.unpublished += 1,
            // Removed meanwhile by a service that goes on sequencing.
            Err(AuditError::Read(ReadError::Missing { tile })) if tile == id => {}
            Err(AuditError::Read(ReadError::Source { error, .. })) => return Err(error),
            Err(error) => self.report.add(error.code(), first_of(&error), error.to_string()),
        }
        Ok(())
    }
}
