//! `bailiwick.toml` as text, and where in it something is wrong.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::{Config, FILE};
use crate::error::CliError;
use crate::keyfile;

/// The file of a data dir.
pub(super) struct File {
    path: PathBuf,
    text: String,
}

impl File {
    /// Reads it, where there is one.
    pub(super) fn read(dir: &Path) -> Result<Option<Self>, CliError> {
        let path = dir.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        let text = String::from_utf8(keyfile::own(keyfile::read(&path))?).map_err(|e| {
            let before = String::from_utf8_lossy(
                e.as_bytes().get(..e.utf8_error().valid_up_to()).unwrap_or_default(),
            );
            let message = format!("{}: the file is not UTF-8", at(&path, &before, before.len()));
            CliError::usage("config-malformed", message, "save it as UTF-8")
        })?;
        Ok(Some(Self { path, text }))
    }

    /// What it says. Ranges are not checked.
    pub(super) fn parse(&self) -> Result<Config, CliError> {
        toml::from_str(&self.text).map_err(|e| {
            let span = e.span();
            let place = match &span {
                Some(span) => at(&self.path, &self.text, span.start),
                None => format!("`{}`", self.path.display()),
            };
            // toml says some things on several lines.
            let mut said = e.message().split_whitespace().collect::<Vec<_>>().join(" ");
            let is_twice = said.starts_with("duplicate key");
            if let Some(span) = span.filter(|_| is_twice)
                && let Some(key) = self.text.get(span.clone())
            {
                said = format!("`{}` stands twice", key.trim());
                if let Some(line) = self.first_of(span.start) {
                    said.push_str(&format!(", first in line {line}"));
                }
            }
            let remedy = if is_twice {
                "write each option once: keep one of the two lines"
            } else {
                "mend this line; the documentation's page on configuration lists every option with its range"
            };
            CliError::usage("config-malformed", format!("{place}: {said}"), remedy)
        })
    }

    /// The line in which an option or table first stood that stands again at
    /// `offset`.
    fn first_of(&self, offset: usize) -> Option<usize> {
        let begins = self.text.get(..offset)?.rfind('\n').map_or(0, |at| at.saturating_add(1));
        let (before, rest) = self.text.split_at_checked(begins)?;
        let line = rest.lines().next()?.trim();
        let header = |line: &str| {
            let name = line.trim().strip_prefix('[')?.trim_start_matches('[').split(']').next()?;
            Some(name.trim().to_owned())
        };
        let option = header(line).or_else(|| {
            let key = line.split('=').next()?.trim();
            Some(match before.lines().rev().find_map(header) {
                Some(table) => format!("{table}.{key}"),
                None => key.to_owned(),
            })
        })?;
        // What comes before the second one reads.
        let first = span(before, &option)?;
        Some(line_of(before, first.start))
    }

    /// Where the option stands, by its dotted name; where it does not, the file.
    pub(super) fn place(&self, option: &str) -> String {
        match self.span(option) {
            Some(span) => at(&self.path, &self.text, span.start),
            None => format!("`{}`", self.path.display()),
        }
    }

    fn span(&self, option: &str) -> Option<Range<usize>> {
        span(&self.text, option)
    }
}

/// Where an option stands in a text. A name in a list of tables is one of the
/// last of them, a number is a table of the list.
fn span(text: &str, option: &str) -> Option<Range<usize>> {
    let root = DeTable::parse(text).ok()?;
    let mut span = None;
    let mut inside = DeValue::Table(root.into_inner());
    for step in option.split('.') {
        if step.parse::<usize>().is_err() {
            inside = match inside {
                DeValue::Array(items) => items.into_iter().last()?.into_inner(),
                other => other,
            };
        }
        inside = match inside {
            DeValue::Table(table) => {
                let (key, value) = table.into_iter().find(|(key, _)| key.get_ref() == step)?;
                span = Some(key.span());
                value.into_inner()
            }
            DeValue::Array(items) => {
                let item = items.into_iter().nth(step.parse().ok()?)?;
                span = Some(item.span());
                item.into_inner()
            }
            _ => return None,
        };
    }
    span
}

/// The line at an offset, from 1.
fn line_of(text: &str, offset: usize) -> usize {
    text.get(..offset).unwrap_or(text).matches('\n').count().saturating_add(1)
}

/// A file, a line and a column, both from 1; columns are characters.
fn at(path: &Path, text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let line = line_of(text, offset);
    let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()).saturating_add(1);
    format!("`{}`, line {line}, column {column}", path.display())
}
