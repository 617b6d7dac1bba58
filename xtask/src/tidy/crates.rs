//! Rules about our crates and what they depend on.

use bailiwick_core::json::{Json, Object};

use super::{Checkout, Finding};
use crate::repository::{Repository, Trouble};

/// One package of the workspace.
#[derive(Debug)]
pub(crate) struct Crate {
    /// Its name in the workspace: the folder's.
    pub(crate) folder: String,
    /// Its manifest, relative to the root.
    pub(crate) manifest: String,
    /// What it depends on.
    pub(crate) dependencies: Vec<Dependency>,
}

/// One dependency.
#[derive(Debug)]
pub(crate) struct Dependency {
    /// The package; ours by the name of its folder.
    pub(crate) name: String,
    /// Whether it is of this workspace.
    pub(crate) ours: bool,
    /// Whether only tests, examples and benchmarks have it.
    pub(crate) dev: bool,
    /// Whether a feature brings it in.
    pub(crate) optional: bool,
}

/// Who may depend on which of our own crates, tests aside.
const DIRECTIONS: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("tlog", &[]),
    ("policy", &["core"]),
    ("evidence", &["core", "policy", "tlog"]),
    ("store", &["core", "tlog"]),
    ("svid", &["core"]),
    ("workload", &["core", "svid"]),
    ("authority", &["core", "policy", "store", "svid", "tlog", "evidence"]),
    ("gateway", &["core", "policy"]),
    ("peer", &["core", "svid", "workload"]),
    ("demo", &["core"]),
    (
        "cli",
        &[
            "core",
            "policy",
            "tlog",
            "store",
            "evidence",
            "svid",
            "workload",
            "authority",
            "gateway",
            "peer",
            "demo",
        ],
    ),
    ("testkit", &["core", "policy", "tlog", "store", "evidence", "demo"]),
    (
        "bench",
        &[
            "core",
            "policy",
            "tlog",
            "store",
            "evidence",
            "svid",
            "authority",
            "gateway",
            "demo",
            "testkit",
            "cli",
        ],
    ),
    ("xtask", &["core", "policy"]),
];

/// All that the core links. A new line here is a decision.
const CORE: [&str; 12] = [
    "aws-lc-rs",
    "base64",
    "ipnet",
    "jiff",
    "serde",
    "serde_json",
    "serde_json_canonicalizer",
    "subtle",
    "thiserror",
    "url",
    "uuid",
    "zeroize",
];

/// Libraries with one home each, tests aside. Benchmarks compare with them and may have any.
const HOMES: &[(&str, &[&str])] = &[
    ("axum", &["authority", "gateway", "peer", "cli", "demo"]),
    ("rusqlite", &["store", "demo"]),
    ("rmcp", &["gateway", "demo", "cli"]),
    ("cedar-policy", &["policy"]),
    ("envoy-types", &["gateway"]),
    ("tonic", &["gateway", "workload"]),
    ("rcgen", &["svid"]),
    ("x509-parser", &["svid"]),
    ("clap", &["cli"]),
    ("getrandom", &["cli", "store", "demo", "testkit"]),
];

/// Reads the workspace from cargo.
///
/// # Errors
/// When cargo fails or says something else than expected.
pub(crate) fn read(repository: &Repository) -> Result<Vec<Crate>, Trouble> {
    let metadata = repository.metadata(&["--no-deps"])?;
    let missing = |what| Trouble::Missing { place: "cargo metadata".to_owned(), what };
    let root = repository.root().to_string_lossy().into_owned();
    let packages = metadata.as_object().and_then(|m| m.member("packages")?.as_array());
    packages
        .ok_or_else(|| missing("packages"))?
        .iter()
        .map(|p| package(p, &root).ok_or_else(|| missing("a member of a package")))
        .collect()
}

fn package(json: &Json, root: &str) -> Option<Crate> {
    let o = json.as_object()?;
    let manifest = text(o, "manifest_path")?.strip_prefix(root)?.trim_start_matches('/');
    let folder = folder_name(manifest.strip_suffix("/Cargo.toml")?);
    let dependencies = o
        .member("dependencies")?
        .as_array()?
        .iter()
        .map(|d| {
            let d = d.as_object()?;
            let path = text(d, "path");
            Some(Dependency {
                name: path.map_or(text(d, "name")?, folder_name).to_owned(),
                ours: path.is_some(),
                dev: text(d, "kind") == Some("dev"),
                optional: d.member("optional").and_then(Json::as_bool) == Some(true),
            })
        })
        .collect::<Option<Vec<_>>>()?;
    Some(Crate { folder: folder.to_owned(), manifest: manifest.to_owned(), dependencies })
}

fn folder_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn text<'a>(o: &'a Object, name: &str) -> Option<&'a str> {
    o.member(name).and_then(Json::as_str)
}

/// Every crate takes its lints from the workspace, which forbids unsafe code.
pub(super) fn lints(checkout: &Checkout<'_>) -> Result<Vec<Finding>, Trouble> {
    let mut findings = Vec::new();
    let root = checkout.repository.text("Cargo.toml")?;
    if !root.contains("\nunsafe_code = \"forbid\"\n") {
        findings.push(Finding::new("Cargo.toml", "the workspace does not forbid `unsafe_code`"));
    }
    for member in &checkout.crates {
        let manifest = checkout.repository.text(&member.manifest)?;
        if !manifest.contains("[lints]\nworkspace = true\n") {
            let text = "lacks `[lints]` with `workspace = true`";
            findings.push(Finding::new(&member.manifest, text));
        }
    }
    Ok(findings)
}

/// Our crates depend on each other in one direction.
pub(super) fn directions(checkout: &Checkout<'_>) -> Result<Vec<Finding>, Trouble> {
    let mut findings = Vec::new();
    for member in &checkout.crates {
        let Some((_, allowed)) = DIRECTIONS.iter().find(|(name, _)| *name == member.folder) else {
            let text = "is a crate that the rule `directions` does not know; add what it may use";
            findings.push(Finding::new(&member.manifest, text));
            continue;
        };
        for dependency in member.dependencies.iter().filter(|d| d.ours && !d.dev) {
            if !allowed.contains(&dependency.name.as_str()) {
                let text = format!("`{}` must not depend on `{}`", member.folder, dependency.name);
                findings.push(Finding::new(&member.manifest, text));
            }
        }
    }
    Ok(findings)
}

/// The core's dependencies are the list above.
pub(super) fn pinned(checkout: &Checkout<'_>) -> Result<Vec<Finding>, Trouble> {
    let Some(core) = checkout.crates.iter().find(|c| c.folder == "core") else {
        return Ok(vec![Finding::new("crates/core", "is not there")]);
    };
    let linked: Vec<&str> =
        core.dependencies.iter().filter(|d| !d.dev).map(|d| d.name.as_str()).collect();
    let more = linked.iter().filter(|name| !CORE.contains(name));
    let fewer = CORE.iter().filter(|name| !linked.contains(name));
    let say = |text: String| Finding::new(&core.manifest, text);
    Ok(more
        .map(|name| say(format!("`{name}` is not on the list of what the core may link")))
        .chain(fewer.map(|name| say(format!("`{name}` is on the core's list and not linked"))))
        .collect())
}

/// Libraries with a home are used only there.
pub(super) fn wrappers(checkout: &Checkout<'_>) -> Result<Vec<Finding>, Trouble> {
    let mut findings = Vec::new();
    for member in checkout.crates.iter().filter(|m| m.folder != "bench") {
        let manifest = checkout.repository.text(&member.manifest)?;
        for dependency in &member.dependencies {
            // The feature `testing` is switched on by tests only.
            let testing = manifest.lines().any(|line| {
                line.starts_with("testing = ")
                    && line.contains(&format!("\"dep:{}\"", dependency.name))
            });
            if dependency.optional && testing {
                continue;
            }
            let home = HOMES.iter().find(|(name, _)| *name == dependency.name);
            if let Some((name, homes)) = home
                && !dependency.dev
                && !homes.contains(&member.folder.as_str())
            {
                let text = format!("`{name}` is used only by {}", homes.join(", "));
                findings.push(Finding::new(&member.manifest, text));
            }
            if dependency.name == "testkit" && !dependency.dev {
                let text = "`testkit` is a dev-dependency everywhere";
                findings.push(Finding::new(&member.manifest, text));
            }
        }
    }
    Ok(findings)
}

/// Features of serde_json that would change every reader in the binary are off.
pub(super) fn json_features(checkout: &Checkout<'_>) -> Result<Vec<Finding>, Trouble> {
    // `preserve_order` comes with Cedar and changes the order of members, not what is read.
    const CHANGING: [&str; 2] = ["arbitrary_precision", "unbounded_depth"];
    let tree = checkout.repository.output(
        "cargo",
        &[
            "tree",
            "--locked",
            "--package",
            "bailiwick",
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{p} {f}",
        ],
    )?;
    Ok(CHANGING
        .iter()
        .filter(|feature| {
            tree.lines()
                .filter_map(|line| line.strip_prefix("serde_json v")?.split_once(' '))
                .any(|(_, features)| {
                    features.split([',', ' ']).any(|f| f == **feature)
                })
        })
        .map(|feature| {
            let text = format!(
                "the binary's serde_json has `{feature}`; see `cargo tree -e features -i serde_json`"
            );
            Finding::new("Cargo.lock", text)
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_read_by_the_names_of_its_folders() {
        let text = r#"{"manifest_path":"/x/crates/store/Cargo.toml","dependencies":[
            {"name":"bailiwick-core","path":"/x/crates/core","kind":null},
            {"name":"tempfile","kind":"dev"}]}"#;
        let json = Json::parse(text.as_bytes(), &crate::repository::LARGE).unwrap();
        let read = package(&json, "/x").unwrap();
        assert_eq!(
            (read.folder.as_str(), read.manifest.as_str()),
            ("store", "crates/store/Cargo.toml")
        );
        assert!(read.dependencies[0].ours && read.dependencies[0].name == "core");
        assert!(!read.dependencies[1].ours && read.dependencies[1].dev);
    }

    #[test]
    fn no_direction_leads_back() {
        for (from, to) in DIRECTIONS {
            for name in *to {
                let (_, back) = DIRECTIONS.iter().find(|(n, _)| n == name).unwrap();
                assert!(!back.contains(from), "{from} and {name} depend on each other");
            }
        }
    }
}
