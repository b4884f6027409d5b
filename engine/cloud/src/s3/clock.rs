//! The service's clock, from the `Date` of its answers.
//!
//! A time is told from what was heard a moment ago rather than asked for. The moments are counted by a clock that goes on
//! while the machine is suspended, so that a time that was heard before is not taken for one that was heard now.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_smithy_runtime_api::box_error::BoxError;
use rustix::time::{ClockId, clock_gettime};

/// How long a time that was heard is good for.
const FRESH: Duration = Duration::from_secs(5);

/// A `Date` has whole seconds, so that it is behind by half of one on average.
const HALF: Duration = Duration::from_millis(500);

/// What the service's clock said last. Its clones are the same one.
#[derive(Debug, Clone, Default)]
pub(super) struct StoreClock(Arc<Mutex<Heard>>);

#[derive(Debug, Default)]
struct Heard {
    /// What was heard, and when, by the machine's clock.
    last: Option<(SystemTime, Duration)>,
    /// What was told last.
    told: Option<SystemTime>,
}

impl StoreClock {
    /// What time it is there, if that was heard a moment ago.
    pub(super) fn now(&self) -> Option<SystemTime> {
        self.now_at(boottime())
    }

    fn now_at(&self, moment: Duration) -> Option<SystemTime> {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (date, then) = heard.last?;
        let since = moment.checked_sub(then).filter(|since| *since < FRESH)?;
        let now = date + HALF + since;
        // Whole seconds may make it seem to go back by one.
        let now = heard.told.filter(|told| *told > now && *told < now + 3 * HALF).unwrap_or(now);
        heard.told = Some(now);
        Some(now)
    }

    fn hear(&self, date: SystemTime, moment: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).last = Some((date, moment));
    }
}

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for StoreClock {
    fn name(&self) -> &'static str {
        "StoreClock"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date").and_then(|date| httpdate::parse_http_date(date).ok());
        if let Some(date) = date {
            self.hear(date, boottime());
        }
        Ok(())
    }
}

fn boottime() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_heard_long_ago_is_not_the_time_now() {
        let (clock, second) = (StoreClock::default(), Duration::from_secs(1));
        assert_eq!(clock.now_at(second), None);
        let date = SystemTime::UNIX_EPOCH + 1000 * second;
        clock.hear(date, 10 * second);
        assert_eq!(clock.now_at(11 * second), Some(date + second + HALF));
        assert_eq!(clock.now_at(15 * second), None);
        assert_eq!(clock.now_at(3600 * second), None);
    }

    #[test]
    fn whole_seconds_do_not_make_it_go_back_and_a_corrected_clock_does() {
        let (clock, second) = (StoreClock::default(), Duration::from_secs(1));
        let date = SystemTime::UNIX_EPOCH + 1000 * second;
        clock.hear(date, 10 * second);
        let first = clock.now_at(10 * second + HALF);
        clock.hear(date, 10 * second + HALF);
        assert_eq!(clock.now_at(10 * second + HALF), first);
        clock.hear(date - 3600 * second, 11 * second);
        assert_eq!(clock.now_at(11 * second), Some(date - 3600 * second + HALF));
    }
}
