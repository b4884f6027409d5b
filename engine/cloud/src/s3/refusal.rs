//! What an error of the SDK says: what kind of failure it was, and so whether sending the request again can help.
//!
//! [`StoreErrorKind::Other`] is for none of them: of an object that cannot be read for an unknown reason, a check would
//! say that it is damaged, when it was the service that failed.

use std::error::Error;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use cloudstic_engine::store::StoreErrorKind;

/// A request that was not answered as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) kind: StoreErrorKind,
    /// What the service calls it.
    pub(crate) code: String,
    /// 0 if there was no answer.
    pub(crate) status: u16,
    /// For the user.
    pub(crate) detail: String,
}

impl Refusal {
    pub(crate) fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let nothing = |kind, detail| Self { kind, code: String::new(), status: 0, detail };
        match error {
            SdkError::ServiceError(answer) if answer.raw().status().is_success() && answer.err().code().is_none() => {
                nothing(StoreErrorKind::Transient, format!("the answer cannot be understood: {}", chain(error)))
            }
            SdkError::ServiceError(answer) => {
                let (meta, raw) = (answer.err(), answer.raw());
                Self::answered(raw, meta.code().unwrap_or_default(), meta.message().unwrap_or_default())
            }
            SdkError::ResponseError(answer) if answer.raw().status().is_success() => {
                nothing(StoreErrorKind::Transient, format!("the answer was cut off or garbled: {}", chain(error)))
            }
            SdkError::ResponseError(answer) => Self::answered(answer.raw(), "", ""),
            SdkError::TimeoutError(_) => nothing(StoreErrorKind::Transient, "no answer in time".to_owned()),
            SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_) => {
                let detail = chain(error);
                nothing(unsent(error, &detail), detail)
            }
            _ => nothing(StoreErrorKind::Transient, chain(error)),
        }
    }

    fn answered(raw: &HttpResponse, code: &str, message: &str) -> Self {
        let after = raw.headers().get("retry-after").and_then(|after| wait(after, raw.headers().get("date")));
        let status = raw.status().as_u16();
        // An error may come after a good beginning, when parts are put together.
        let meant = if status == 200 && !is_denial(code) { 500 } else { status };
        let kind = kind(meant, code, message, after);
        let wants_checksum = message.contains("x-amz-checksum");
        let mut detail = match (code, message) {
            ("", "") => format!("the service answers {status}"),
            ("", text) | (text, "") => text.to_owned(),
            (code, message) => format!("{message} ({code})"),
        };
        if let Some(hint) = hint(status, code) {
            detail = format!("{detail}; {hint}");
        }
        if wants_checksum {
            detail = format!("{detail}; set `checksums = true` for this repository");
        }
        if let Some(region) = raw.headers().get("x-amz-bucket-region").filter(|_| status == 301 || status == 400) {
            detail = format!("{detail}; the bucket is in the region {region}");
        }
        Self { kind, code: code.to_owned(), status, detail }
    }

    /// What was to be sent cannot be read.
    pub(crate) fn unreadable(cause: &std::io::Error) -> Self {
        let detail = format!("the file to be stored cannot be read: {cause}");
        Self { kind: StoreErrorKind::Other, code: String::new(), status: 0, detail }
    }

    /// What the service says of one object of several.
    pub(crate) fn of_one(code: &str, message: &str) -> Self {
        // Codes that nobody knows are the service's own troubles, as a rule.
        let status = if is_denial(code) { 403 } else { 500 };
        let (kind, detail) = (kind(status, code, message, None), format!("{message} ({code})"));
        Self { kind, code: code.to_owned(), status: 0, detail }
    }

    /// The service has certainly not done what it was asked to.
    pub(crate) fn is_answer(&self) -> bool {
        (400..500).contains(&self.status)
    }

    /// The object is not as the request's condition has it.
    pub(crate) fn is_unmet(&self) -> bool {
        self.status == 412 || self.code == "PreconditionFailed"
    }

    /// Another request for the same object was under way; whether there is one now, nobody knows.
    pub(crate) fn is_conflict(&self) -> bool {
        self.status == 409 && self.kind == StoreErrorKind::Transient
    }

    /// It does not know this sort of request, or not as it was sent; who asks does not matter.
    pub(crate) fn is_unknown_request(&self) -> bool {
        let is_denied = self.status == 400 && self.kind == StoreErrorKind::Denied && !is_denial(&self.code);
        matches!(self.status, 405 | 501) || self.code == "NotImplemented" || is_denied
    }
}

/// `Retry-After` (RFC 9110, 10.2.3): seconds, or a date, which is by the clock of the answer's own.
fn wait(after: &str, date: Option<&str>) -> Option<Duration> {
    if let Ok(seconds) = after.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let (then, now) = (httpdate::parse_http_date(after).ok()?, httpdate::parse_http_date(date?).ok()?);
    Some(then.duration_since(now).unwrap_or_default())
}

fn kind(status: u16, code: &str, message: &str, after: Option<Duration>) -> StoreErrorKind {
    match code {
        "NoSuchKey" | "NoSuchVersion" => return StoreErrorKind::NotFound,
        "NoSuchBucket" => return StoreErrorKind::Gone,
        "SlowDown"
        | "Throttling"
        | "ThrottlingException"
        | "RequestLimitExceeded"
        | "TooManyRequests"
        | "ThrottledException" => return StoreErrorKind::Throttled { retry_after: after },
        // Bytes were lost or changed on their way, or somebody else was there first.
        "RequestTimeout"
        | "IncompleteBody"
        | "BadDigest"
        | "XAmzContentSHA256Mismatch"
        | "InternalError"
        | "OperationAborted"
        | "ConditionalRequestConflict"
        | "NoSuchUpload" => return StoreErrorKind::Transient,
        "InvalidRange" => return StoreErrorKind::Corrupt,
        "ObjectLocked" => return StoreErrorKind::Retained,
        "QuotaExceeded" | "InsufficientStorage" | "XMinioStorageFull" | "XMinioAdminBucketQuotaExceeded" => {
            return StoreErrorKind::Full;
        }
        _ => {}
    }
    // Names of users and buckets may say anything.
    let words = message.split_whitespace().filter(|word| !word.contains([':', '/', '"', '\'']));
    let text = words.collect::<Vec<_>>().join(" ").to_ascii_lowercase();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| text.contains(phrase));
    match status {
        429 => StoreErrorKind::Throttled { retry_after: after },
        500.. if after.is_some() && status != 507 => StoreErrorKind::Throttled { retry_after: after },
        507 => StoreErrorKind::Full,
        501 => StoreErrorKind::Denied,
        500.. | 408 => StoreErrorKind::Transient,
        404 => StoreErrorKind::NotFound,
        416 => StoreErrorKind::Corrupt,
        400..=499 if says(&["cap exceeded", "quota exceeded", "exceeded the quota", "exceeded your quota"]) => {
            StoreErrorKind::Full
        }
        400..=499 if says(&RETAINED) => StoreErrorKind::Retained,
        _ => StoreErrorKind::Denied,
    }
}

/// Codes that are about who asks.
fn is_denial(code: &str) -> bool {
    matches!(
        code,
        "AccessDenied"
            | "AllAccessDisabled"
            | "AccountProblem"
            | "ExpiredToken"
            | "TokenRefreshRequired"
            | "InvalidToken"
            | "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "RequestTimeTooSkewed"
            | "AuthorizationHeaderMalformed"
            | "MethodNotAllowed"
            | "Forbidden"
    )
}

/// How services say that object lock keeps something; they have no code for it.
const RETAINED: [&str; 7] = [
    "protected by object lock",
    "object is locked",
    "worm protected",
    "under retention",
    "retention period",
    "is retained",
    "legal hold",
];

fn hint(status: u16, code: &str) -> Option<&'static str> {
    match code {
        "RequestTimeTooSkewed" => Some("set this host's clock"),
        "SignatureDoesNotMatch" => Some("is the secret key the right one?"),
        "ExpiredToken" | "TokenRefreshRequired" => Some("the session token has expired: give a new one"),
        "InvalidObjectState" => Some("it is in an archive class: restore it there first"),
        "NoSuchBucket" => Some("make the bucket, or correct its name"),
        // An answer to HEAD has no body that would say why.
        "" if matches!(status, 400 | 403) => Some("credentials that have expired are answered so, too"),
        _ if status == 301 || code == "AuthorizationHeaderMalformed" => Some("is the region the right one?"),
        _ => None,
    }
}

/// Why a request was not sent.
fn unsent(error: &(dyn Error + 'static), detail: &str) -> StoreErrorKind {
    if let Some(cause) = find::<CredentialsError>(error) {
        return match cause {
            CredentialsError::ProviderTimedOut(_) | CredentialsError::ProviderError(_) => StoreErrorKind::Transient,
            _ => StoreErrorKind::Denied,
        };
    }
    let is_told = |texts: [&str; 2]| texts.iter().any(|text| detail.contains(text));
    // Nothing gets better by trying again where the other side is not who it should be, or the address is none.
    if is_told(["invalid peer certificate", "InvalidCertificate"]) {
        StoreErrorKind::Untrusted
    } else if is_told(["invalid URI", "failed to construct request"]) {
        StoreErrorKind::Denied
    } else {
        StoreErrorKind::Transient
    }
}

fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

/// An error and what caused it, as one line, each said once.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut said = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if said.last().is_none_or(|last| !last.contains(&text)) {
            said.push(text);
        }
        cause = error.source();
    }
    said.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_is_said_to_help_just_where_it_can() {
        let after = Some(Duration::from_secs(7));
        for (status, code, message, told, expected) in [
            (404, "NoSuchKey", "", None, StoreErrorKind::NotFound),
            (404, "", "", None, StoreErrorKind::NotFound),
            (404, "NoSuchBucket", "", None, StoreErrorKind::Gone),
            (403, "AccessDenied", "Access Denied", None, StoreErrorKind::Denied),
            (403, "", "", None, StoreErrorKind::Denied),
            (
                403,
                "AccessDenied",
                "Access Denied because object protected by object lock.",
                None,
                StoreErrorKind::Retained,
            ),
            (
                400,
                "InvalidRequest",
                "Object is WORM protected and cannot be overwritten",
                None,
                StoreErrorKind::Retained,
            ),
            (
                403,
                "AccessDenied",
                "User: arn:aws:iam::1:user/bookworm is not authorized to perform: s3:DeleteObject on resource: \
                 \"arn:aws:s3:::long-retention-quota/packs/a\" because no identity-based policy allows it",
                None,
                StoreErrorKind::Denied,
            ),
            (
                400,
                "InvalidRequest",
                "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters",
                None,
                StoreErrorKind::Denied,
            ),
            (403, "AccessDenied", "Cannot upload files, storage cap exceeded.", None, StoreErrorKind::Full),
            (507, "", "", None, StoreErrorKind::Full),
            (503, "SlowDown", "", None, StoreErrorKind::Throttled { retry_after: None }),
            (503, "ServiceUnavailable", "", None, StoreErrorKind::Transient),
            (503, "ServiceUnavailable", "", after, StoreErrorKind::Throttled { retry_after: after }),
            (429, "", "", after, StoreErrorKind::Throttled { retry_after: after }),
            (500, "InternalError", "", None, StoreErrorKind::Transient),
            (502, "", "", None, StoreErrorKind::Transient),
            (400, "RequestTimeout", "", None, StoreErrorKind::Transient),
            (400, "BadDigest", "", None, StoreErrorKind::Transient),
            (409, "OperationAborted", "", None, StoreErrorKind::Transient),
            (416, "InvalidRange", "", None, StoreErrorKind::Corrupt),
            (501, "NotImplemented", "", None, StoreErrorKind::Denied),
            (400, "SomethingNew", "", None, StoreErrorKind::Denied),
        ] {
            assert_eq!(kind(status, code, message, told), expected, "{status} {code} {message}");
        }
    }

    #[test]
    fn the_time_that_a_service_asks_for_is_told_in_seconds_or_as_a_date() {
        let date = Some("Sun, 22 Nov 2026 08:49:37 GMT");
        let seconds = |count| Some(Duration::from_secs(count));
        assert_eq!(wait(" 7 ", None), seconds(7));
        assert_eq!(wait("Sun, 22 Nov 2026 08:51:07 GMT", date), seconds(90));
        assert_eq!(wait("Sun, 22 Nov 2026 08:00:00 GMT", date), seconds(0));
        assert_eq!(wait("Sun, 22 Nov 2026 08:51:07 GMT", None), None);
        assert_eq!(wait("soon", date), None);
        assert_eq!(wait("-1", date), None);
    }

    #[test]
    fn an_error_about_one_of_many_objects_is_told_by_its_code_alone() {
        for (code, message, expected) in [
            (
                "SlowDownWrite",
                "Resource requested is unwritable, please reduce your request rate",
                StoreErrorKind::Transient,
            ),
            ("ServiceUnavailable", "", StoreErrorKind::Transient),
            ("InternalError", "", StoreErrorKind::Transient),
            ("SlowDown", "", StoreErrorKind::Throttled { retry_after: None }),
            ("AccessDenied", "Access Denied", StoreErrorKind::Denied),
            ("AccessDenied", "Access Denied because object protected by object lock.", StoreErrorKind::Retained),
            ("NoSuchKey", "", StoreErrorKind::NotFound),
        ] {
            assert_eq!(Refusal::of_one(code, message).kind, expected, "{code} {message}");
        }
    }
}
