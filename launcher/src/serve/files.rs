//! Files of runs, with ranges (RFC 9110), for whoever may read them.

use std::path::{Component, Path, PathBuf};

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use tower_http::services::ServeFile;

/// A file in a folder by its relative path, links followed and not left; `None` for anything else.
pub fn inside(folder: &Path, path: &str) -> Option<PathBuf> {
    let plain = Path::new(path)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if path.is_empty() || !plain || path.contains('\0') {
        return None;
    }
    let folder = folder.canonicalize().ok()?;
    let file = folder.join(path).canonicalize().ok()?;
    (file.starts_with(&folder) && file.is_file()).then_some(file)
}

/// Answers with the file, or the range of it that is asked for, to be kept and not shown.
pub async fn attachment(file: &Path, request: Request) -> Option<Response> {
    let name = file.file_name()?.to_string_lossy().into_owned();
    // The service takes no path from the request, only its method and conditions.
    let answer = ServeFile::new(file).try_call(request).await.ok()?;
    let mut response = answer.map(Body::new).into_response();
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let name: String = name.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    let disposition = HeaderValue::try_from(format!("attachment; filename={name}")).ok()?;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_DISPOSITION, disposition);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // A recording that goes on has another length each time.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_the_folder_are_found() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("run");
        std::fs::create_dir_all(folder.join("mp4")).unwrap();
        std::fs::write(folder.join("mp4/video.mp4"), "v").unwrap();
        std::fs::write(place.path().join("secret"), "s").unwrap();
        std::os::unix::fs::symlink(place.path().join("secret"), folder.join("link")).unwrap();
        assert!(inside(&folder, "mp4/video.mp4").is_some());
        for path in [
            "",
            ".",
            "mp4",
            "mp4/",
            "../secret",
            "mp4/../../secret",
            "/etc/passwd",
            "link",
            "mp4/none",
            "a\0b",
        ] {
            assert_eq!(
                inside(&folder, path).filter(|file| !file.ends_with("video.mp4")),
                None,
                "{path}"
            );
            assert!(inside(&folder, path).is_none(), "{path}");
        }
    }
}
