//! Sharing compiled models among the networks of one process.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use super::{EngineError, EngineOptions, ModelSource, Request};

/// What makes two loads equal. The digest notices a file that was replaced under the same path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    source: ModelSource,
    digest: u64,
    options: EngineOptions,
}

/// Compiled models that are in use somewhere; the last user drops them.
pub(super) struct Shared<T>(LazyLock<Mutex<HashMap<Key, Weak<T>>>>);

impl<T> Shared<T> {
    pub const fn new() -> Self {
        Self(LazyLock::new(|| Mutex::new(HashMap::new())))
    }

    /// The model of `request`, compiled now if nobody has it. Concurrent loads wait for each other: compiling is done
    /// once, and uses every core anyhow.
    pub fn get(
        &self,
        request: &Request<'_>,
        compile: impl FnOnce() -> Result<T, EngineError>,
    ) -> Result<Arc<T>, EngineError> {
        let mut hasher = DefaultHasher::new();
        request.model.hash(&mut hasher);
        let key = Key {
            source: request.source.clone(),
            digest: hasher.finish(),
            options: request.options.clone(),
        };
        let mut models = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(model) = models.get(&key).and_then(Weak::upgrade) {
            return Ok(model);
        }
        let model = Arc::new(compile()?);
        models.retain(|_, model| model.strong_count() > 0);
        models.insert(key, Arc::downgrade(&model));
        Ok(model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_requests_share_and_the_last_user_drops() {
        let shared = Shared::new();
        let source = ModelSource::Embedded("m", b"abc");
        let options = EngineOptions::default();
        let request = Request {
            source: &source,
            model: b"abc",
            options: &options,
        };
        let first = shared.get(&request, || Ok(1)).unwrap();
        let second = shared.get(&request, || Ok(2)).unwrap();
        assert!(Arc::ptr_eq(&first, &second));
        drop((first, second));
        assert_eq!(*shared.get(&request, || Ok(3)).unwrap(), 3);
    }

    #[test]
    fn other_options_or_contents_are_not_shared() {
        let shared = Shared::new();
        let source = ModelSource::File("m".into());
        let options = EngineOptions::default();
        let more = EngineOptions {
            threads: 2,
            ..EngineOptions::default()
        };
        let a = shared
            .get(
                &Request {
                    source: &source,
                    model: b"a",
                    options: &options,
                },
                || Ok(1),
            )
            .unwrap();
        let b = shared
            .get(
                &Request {
                    source: &source,
                    model: b"b",
                    options: &options,
                },
                || Ok(2),
            )
            .unwrap();
        let c = shared
            .get(
                &Request {
                    source: &source,
                    model: b"a",
                    options: &more,
                },
                || Ok(3),
            )
            .unwrap();
        assert_eq!((*a, *b, *c), (1, 2, 3));
    }

    #[test]
    fn a_failed_compilation_is_not_remembered() {
        let shared = Shared::new();
        let source = ModelSource::Embedded("m", b"");
        let options = EngineOptions::default();
        let request = Request {
            source: &source,
            model: b"",
            options: &options,
        };
        let error = EngineError::ModelMissing {
            model: "m".into(),
            reason: "r".into(),
        };
        assert_eq!(shared.get(&request, || Err::<u8, _>(error.clone())).unwrap_err(), error);
        assert_eq!(*shared.get(&request, || Ok(1)).unwrap(), 1);
    }
}
