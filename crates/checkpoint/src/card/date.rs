use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const SECONDS_A_DAY: i64 = 86_400;

/// Where the date of a file comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Clock {
    /// The system's clock.
    #[default]
    System,
    /// Always this time, so that files can be compared byte by byte.
    Fixed(SystemTime),
}

impl Clock {
    /// The day it is, in UTC.
    pub fn today(self) -> Date {
        Date::of(match self {
            Clock::System => SystemTime::now(),
            Clock::Fixed(time) => time,
        })
    }
}

/// A day of the proleptic Gregorian calendar, in UTC; `2026-11-27` in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    year: i64,
    month: u8,
    day: u8,
}

impl Date {
    /// The day of a time.
    ///
    /// Days are counted from 1 March of year 0, whose years end with the leap day, in cycles of 400 years.
    pub fn of(time: SystemTime) -> Self {
        let seconds = match time.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_secs()).unwrap_or(i64::MAX),
        };
        let days = seconds.div_euclid(SECONDS_A_DAY) + 719_468;
        let (cycle, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day_of_year = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        Date {
            year: year + cycle * 400 + i64::from(month <= 2),
            month: month as u8,
            day: day as u8,
        }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{:04}-{:02}-{:02}",
            self.year, self.month, self.day
        )
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut parts = text.splitn(3, '-').map(|part| part.parse::<u16>().ok());
        match (parts.next(), parts.next(), parts.next()) {
            (Some(Some(year)), Some(Some(month @ 1..=12)), Some(Some(day @ 1..=31))) => Ok(Date {
                year: i64::from(year),
                month: month as u8,
                day: day as u8,
            }),
            _ => Err(serde::de::Error::custom(format!(
                "'{text}' is not a date such as 2026-11-27"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn days_are_counted_across_leap_years_and_centuries() {
        for (seconds, date) in [
            (0, "1970-01-01"),
            (86_399, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_709_164_800, "2024-02-29"),
            (1_798_675_199, "2026-12-30"),
            (1_798_761_599, "2026-12-31"),
            (4_107_542_400, "2100-03-01"),
            (4_107_456_000, "2100-02-28"),
        ] {
            let time = UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(Clock::Fixed(time).today().to_string(), date);
        }
        let before = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(Date::of(before).to_string(), "1969-12-31");
    }

    #[test]
    fn a_date_comes_back_from_json_and_nonsense_is_refused() {
        let date = Date::of(UNIX_EPOCH + Duration::from_secs(951_782_400));
        let json = serde_json::to_string(&date).expect("a string");
        assert_eq!(json, "\"2000-02-29\"");
        assert_eq!(serde_json::from_str::<Date>(&json).expect("read"), date);
        for text in [
            "\"2000-13-01\"",
            "\"2000-01\"",
            "\"today\"",
            "\"2000-01-32\"",
        ] {
            assert!(serde_json::from_str::<Date>(text).is_err(), "{text}");
        }
    }
}
