//! Writing objects, on condition or not.

use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::types::{ServerSideEncryption, StorageClass};
use cloudstic_engine::store::{StoreErrorKind, StoreResult, Version};

use super::body::{Body, IN_MEMORY};
use super::settings::Encryption;
use super::{Refusal, Shared};

/// How often a conditional write is sent that the service does not decide, because of another one at the same time.
const TRIES: usize = 5;

/// What must be true of an object for it to be written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Condition<'a> {
    /// There is none.
    Absent,
    /// It is still this one.
    Unchanged(&'a Version),
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// It was done, and this is the object's ETag.
    Won(Option<String>),
    /// The condition does not hold.
    Lost,
    /// Another one was under way.
    Conflict,
}

impl Condition<'_> {
    /// For `If-None-Match` and `If-Match`.
    pub(super) fn headers(condition: Option<Self>) -> (Option<String>, Option<String>) {
        match condition {
            Some(Self::Absent) => (Some("*".to_owned()), None),
            Some(Self::Unchanged(version)) => (None, Some(etag(version))),
            None => (None, None),
        }
    }
}

/// A version as the service writes it. One that is not the service's own is none that it has.
pub(super) fn etag(version: &Version) -> String {
    let token = version.token();
    if token.ends_with('"') { token.to_owned() } else { format!("\"{}\"", token.replace('"', "")) }
}

/// What the answer to a write means.
pub(super) fn judge(
    answer: Result<Option<String>, Refusal>,
    condition: Option<Condition<'_>>,
) -> Result<Answer, Refusal> {
    match answer {
        Ok(etag) => Ok(Answer::Won(etag)),
        Err(refusal) if condition.is_some() && refusal.is_unmet() => Ok(Answer::Lost),
        Err(refusal) if condition.is_some() && refusal.is_conflict() => Ok(Answer::Conflict),
        // What is gone is not unchanged.
        Err(Refusal { kind: StoreErrorKind::NotFound, .. }) if matches!(condition, Some(Condition::Unchanged(_))) => {
            Ok(Answer::Lost)
        }
        Err(refusal) => Err(refusal),
    }
}

/// The version that was written, as most services say in their answer. What is there now may be another writer's already, so
/// of one that does not say it, nothing is known that would be like it.
fn written(etag: Option<String>) -> Version {
    Version::new(etag.unwrap_or_default())
}

impl Shared {
    pub(super) async fn put(&self, key: &str, body: &Body) -> StoreResult<()> {
        self.put_always(key, body).await.map(drop)
    }

    /// Gives the ETag, if the service tells it.
    async fn put_always(&self, key: &str, body: &Body) -> StoreResult<Option<String>> {
        let name = self.name(key)?;
        let answer = match body.len() > IN_MEMORY {
            true => self.put_in_parts(key, &name, body, None).await,
            false => self.put_once(key, &name, body, None).await,
        };
        match answer.map_err(|refusal| self.refused(key, refusal))? {
            Answer::Won(etag) => {
                self.trim(key).await;
                Ok(etag)
            }
            // Without a condition there is nothing to lose.
            Answer::Lost | Answer::Conflict => Ok(None),
        }
    }

    pub(super) async fn put_on(
        &self,
        key: &str,
        body: &Body,
        condition: Condition<'_>,
    ) -> StoreResult<Option<Version>> {
        let name = self.name(key)?;
        let is_honoured = match condition {
            Condition::Absent => self.conditions.create,
            Condition::Unchanged(_) => self.conditions.replace,
        };
        if !is_honoured {
            return self.look_and_put(key, body, condition).await;
        }
        for _ in 0..TRIES {
            let attempt = self.unanswered.attempt(key);
            let answer = match body.len() > IN_MEMORY && self.conditions.parts {
                true => self.put_in_parts(key, &name, body, Some(condition)).await,
                false => self.put_once(key, &name, body, Some(condition)).await,
            };
            match answer {
                Ok(Answer::Won(etag)) => {
                    attempt.answered();
                    self.unanswered.forget(key);
                    self.trim(key).await;
                    return Ok(Some(written(etag)));
                }
                Ok(Answer::Lost) => {
                    attempt.answered();
                    if !self.unanswered.has(key) {
                        return Ok(None);
                    }
                    let ours = self.holds(key, &name, body).await?;
                    if ours.is_some() {
                        self.unanswered.forget(key);
                    }
                    return Ok(ours);
                }
                Ok(Answer::Conflict) => attempt.answered(),
                Err(refusal) => {
                    if refusal.is_answer() {
                        attempt.answered();
                    }
                    return Err(self.refused(key, refusal));
                }
            }
        }
        let detail = "others write it at the same time".to_owned();
        Err(self.error(key, StoreErrorKind::Transient, detail))
    }

    /// Where the service has no conditions.
    async fn look_and_put(&self, key: &str, body: &Body, condition: Condition<'_>) -> StoreResult<Option<Version>> {
        let found = match self.stat(key).await {
            Ok((_, version)) => Some(version),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error),
        };
        let holds = match condition {
            Condition::Absent => found.is_none(),
            Condition::Unchanged(version) => found.as_ref() == Some(version),
        };
        match holds {
            true => {
                let etag = self.put_always(key, body).await?;
                Ok(Some(written(etag)))
            }
            false => Ok(None),
        }
    }

    /// One request.
    pub(super) async fn put_once(
        &self,
        key: &str,
        name: &str,
        body: &Body,
        condition: Option<Condition<'_>>,
    ) -> Result<Answer, Refusal> {
        let stream = body.stream().await.map_err(|cause| Refusal::unreadable(&cause))?;
        let (if_none_match, if_match) = Condition::headers(condition);
        let request: PutObjectFluentBuilder = self.client.put_object().bucket(self.bucket()).key(name).body(stream);
        let answer = request
            .content_length(i64::try_from(body.len()).unwrap_or(i64::MAX))
            .set_if_none_match(if_none_match)
            .set_if_match(if_match)
            .set_storage_class(self.storage_class(key))
            .set_server_side_encryption(self.encryption())
            .set_ssekms_key_id(self.encryption_key())
            .send()
            .await;
        judge(self.heard(answer).map(|output| output.e_tag), condition)
    }

    /// The version of the object if it has just these bytes.
    async fn holds(&self, key: &str, name: &str, body: &Body) -> StoreResult<Option<Version>> {
        let answer = self.soon(self.client.get_object().bucket(self.bucket()).key(name).send()).await;
        let (etag, mut stored) = match self.done(key, answer) {
            Ok(output) if output.content_length.and_then(|it| u64::try_from(it).ok()) == Some(body.len()) => {
                (output.e_tag, output.body)
            }
            Ok(_) => return Ok(None),
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut at = 0;
        while let Some(bytes) = stored.next().await {
            let bytes = bytes.map_err(|cause| self.cut_off(key, &cause))?;
            let end = at + bytes.len() as u64;
            if end > body.len() || body.read(at..end).await.map_err(|cause| self.unreadable(key, &cause))? != bytes {
                return Ok(None);
            }
            at = end;
        }
        if at != body.len() {
            return Ok(None);
        }
        Ok(Some(written(etag)))
    }

    /// The class for what is large and seldom read.
    pub(super) fn storage_class(&self, key: &str) -> Option<StorageClass> {
        let is_data = key.starts_with("chunk/") || key.starts_with("packs/");
        self.settings.storage_class.filter(|_| is_data).map(|class| class.sdk())
    }

    pub(super) fn encryption(&self) -> Option<ServerSideEncryption> {
        self.settings.encryption.as_ref().map(|encryption| match encryption {
            Encryption::Managed => ServerSideEncryption::Aes256,
            Encryption::Kms { .. } => ServerSideEncryption::AwsKms,
        })
    }

    pub(super) fn encryption_key(&self) -> Option<String> {
        match &self.settings.encryption {
            Some(Encryption::Kms { key }) => key.clone(),
            _ => None,
        }
    }
}
