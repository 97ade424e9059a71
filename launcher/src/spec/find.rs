//! Finding a description by name or path.

use std::path::{Path, PathBuf};

use super::read::nearest;
use crate::exit::{Exit, Failure};

/// Folders that are searched, first come first served: `$NUNCHI_PIPELINES`, `./pipelines`, `pipelines` beside the
/// executable and up to three folders above it, and `/usr/share/nunchi/pipelines`.
pub fn folders() -> Vec<PathBuf> {
    let mut out: Vec<PathBuf> = Vec::new();
    if let Some(dirs) = std::env::var_os("NUNCHI_PIPELINES") {
        out.extend(std::env::split_paths(&dirs).filter(|p| !p.as_os_str().is_empty()));
    }
    out.push("pipelines".into());
    if let Ok(exe) = std::env::current_exe() {
        out.extend(exe.ancestors().skip(1).take(4).map(|dir| dir.join("pipelines")));
    }
    out.push("/usr/share/nunchi/pipelines".into());
    out
}

/// Every description of the folders: name without extension, and path; of equal names the first.
pub fn all(folders: &[PathBuf]) -> Vec<(String, PathBuf)> {
    let mut found: Vec<(String, PathBuf)> = Vec::new();
    for folder in folders {
        let Ok(entries) = std::fs::read_dir(folder) else {
            continue;
        };
        let mut here: Vec<_> = entries
            .flatten()
            .map(|e| e.path())
            .filter(|p| p.extension().is_some_and(|e| e == "yaml" || e == "yml"))
            .filter_map(|p| Some((p.file_stem()?.to_str()?.to_owned(), p)))
            .collect();
        here.sort();
        here.retain(|(name, _)| found.iter().all(|(known, _)| known != name));
        here.dedup_by(|a, b| a.0 == b.0);
        found.extend(here);
    }
    found.sort();
    found
}

/// The file that `target` means: a path when it looks like one or exists, else a name to search.
pub fn find(target: &str, folders: &[PathBuf]) -> Result<PathBuf, Failure> {
    let path = Path::new(target);
    if target.contains('/') || target.ends_with(".yaml") || target.ends_with(".yml") {
        return match path.exists() {
            true => Ok(path.into()),
            false => Err(Failure::new(
                Exit::NoInput,
                format!("there is no pipeline description {target}"),
            )),
        };
    }
    let known = all(folders);
    if let Some((_, path)) = known.iter().find(|(name, _)| name == target) {
        return Ok(path.clone());
    }
    let hint = match nearest(target, known.iter().map(|(n, _)| n.as_str())) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`nunchi list` shows the pipelines there are".into(),
    };
    Err(Failure::new(Exit::NoInput, format!("there is no pipeline named `{target}`")).hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_folder_wins_and_names_are_suggested() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (dir, name) in [(&a, "one.yaml"), (&b, "one.yaml"), (&b, "two.yml"), (&b, "note.txt")] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let folders = [a.path().to_path_buf(), "/no/such".into(), b.path().to_path_buf()];
        let names: Vec<_> = all(&folders).into_iter().map(|(n, _)| n).collect();
        assert_eq!(names, ["one", "two"]);
        assert_eq!(find("one", &folders).unwrap(), a.path().join("one.yaml"));
        let e = find("onee", &folders).unwrap_err();
        assert_eq!(
            (e.exit, e.hint.as_deref()),
            (Exit::NoInput, Some("did you mean `one`?"))
        );
        assert_eq!(find("/no/such.yaml", &folders).unwrap_err().exit, Exit::NoInput);
    }
}
