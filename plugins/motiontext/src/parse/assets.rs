//! What a scenario wants from outside, and what it may have.

use std::path::{Component, Path as FilePath, PathBuf};

use serde_json::Value;

use super::Options;

/// A file that a scenario shows or writes with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    pub kind: AssetKind,
    pub source: Source,
    /// Where the document names it first.
    pub path: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AssetKind {
    /// With the names under which styles ask for it.
    Font {
        families: Vec<String>,
    },
    Picture,
    /// Only a still of it can be shown.
    Video,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    File(PathBuf),
    /// Only where remote assets are allowed.
    Url(String),
}

/// Reads `"path"` or `{"src": "path"}` or `{"url": "path"}`, and says why it may not be had.
pub(super) fn read(value: &Value, options: &Options) -> Result<Source, String> {
    let text = address(value).ok_or_else(|| "an asset needs a path as src or url: not shown".to_owned())?;
    source(text, options)
}

fn address(value: &Value) -> Option<&str> {
    value
        .as_str()
        .or_else(|| value["src"].as_str())
        .or_else(|| value["url"].as_str())
        .or_else(|| address_within(&value["src"]))
}

/// `src` may itself have been a reference to an asset.
fn address_within(value: &Value) -> Option<&str> {
    value["src"].as_str().or_else(|| value["url"].as_str())
}

/// Files lie in the scenario's own folder or below it, whatever links say; remote addresses have to be allowed.
fn source(text: &str, options: &Options) -> Result<Source, String> {
    let scheme = text.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
    if let Some(scheme) = scheme {
        return match scheme.as_str() {
            "http" | "https" if options.remote_assets => Ok(Source::Url(text.to_owned())),
            "http" | "https" => Err(format!(
                "remote asset {text:?} refused: allow remote assets or save it beside the scenario"
            )),
            _ => Err(format!(
                "asset {text:?} refused: only files beside the scenario are read"
            )),
        };
    }
    let folder = options
        .folder
        .as_ref()
        .ok_or_else(|| format!("asset {text:?} refused: the scenario has no folder of its own"))?;
    let relative = FilePath::new(text);
    let plain = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    if text.is_empty() || text.contains(['\\', '\0']) || !relative.components().all(plain) {
        return Err(format!(
            "asset {text:?} refused: only paths below the scenario's own folder are read"
        ));
    }
    let file = folder.join(relative);
    // Links may lead outside. What does not exist is found missing when it is loaded.
    if let (Ok(real), Ok(root)) = (file.canonicalize(), folder.canonicalize())
        && !real.starts_with(root)
    {
        return Err(format!(
            "asset {text:?} refused: it is a link out of the scenario's own folder"
        ));
    }
    Ok(Source::File(file))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn files_of_the_scenarios_folder() {
        let options = Options {
            folder: Some("/nowhere/at/all".into()),
            ..Options::default()
        };
        let file = Source::File("/nowhere/at/all/a/b.png".into());
        for value in [
            json!("a/b.png"),
            json!({"src": "a/b.png"}),
            json!({"url": "a/b.png"}),
            json!({"src": {"url": "a/b.png"}}),
        ] {
            assert_eq!(read(&value, &options), Ok(file.clone()));
        }
    }

    #[test]
    fn nothing_else() {
        let options = Options {
            folder: Some("/nowhere/at/all".into()),
            ..Options::default()
        };
        for text in [
            "",
            "../a.png",
            "a/../../b.png",
            "/etc/passwd",
            "a\\b",
            "a\0b",
            "file:///etc/passwd",
            "data:,x",
            "C:/a.png",
            "http://a/b.png",
            "HTTPS://a/b.png",
        ] {
            assert!(
                read(&json!(text), &options).is_err_and(|reason| reason.contains("refused")),
                "{text}"
            );
        }
        assert!(read(&json!(7), &options).is_err());
        assert!(read(&json!("a.png"), &Options::default()).is_err_and(|reason| reason.contains("no folder")));
        let remote = Options {
            remote_assets: true,
            ..Options::default()
        };
        assert_eq!(
            read(&json!("https://a/b.png"), &remote),
            Ok(Source::Url("https://a/b.png".into()))
        );
        assert!(read(&json!("ftp://a/b.png"), &remote).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_out_of_the_folder_is_refused() {
        let folder = std::env::temp_dir().join(format!("motiontext-assets-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let link = folder.join("out.png");
        std::fs::remove_file(&link).ok();
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        let options = Options {
            folder: Some(folder.clone()),
            ..Options::default()
        };
        let result = read(&json!("out.png"), &options);
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(result.is_err_and(|reason| reason.contains("link")));
    }
}
