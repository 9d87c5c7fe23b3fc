//! Dates and times of MIMIC-CXR-JPG's metadata.

/// When a study was taken. Dates are shifted per patient, so only those of one patient can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    /// Days since 1 March of year 0, in the proleptic Gregorian calendar.
    day: i64,
    /// Microseconds since midnight.
    time: u64,
}

impl Moment {
    /// From `StudyDate`, `YYYYMMDD`, and `StudyTime`, `HHMMSS.fff` as a number, which may lack leading zeros. `None`
    /// if either is blank.
    ///
    /// # Errors
    ///
    /// A message, if one is no date or no time.
    pub(super) fn parse(date: &str, time: &str) -> Result<Option<Self>, String> {
        if date.is_empty() || time.is_empty() {
            return Ok(None);
        }
        let no_date = || format!("StudyDate '{date}' is no date: expected YYYYMMDD");
        let no_time = || format!("StudyTime '{time}' is no time: expected HHMMSS");
        if date.len() != 8 {
            return Err(no_date());
        }
        let number: i64 = date.parse().map_err(|_| no_date())?;
        let day = day_number(number / 10_000, number / 100 % 100, number % 100);
        let clock: f64 = time.parse().map_err(|_| no_time())?;
        // Not a number fails as well.
        if !(0.0..240_000.0).contains(&clock) {
            return Err(no_time());
        }
        let whole = clock as u64;
        let [hours, minutes, seconds] = [whole / 10_000, whole / 100 % 100, whole % 100];
        if minutes > 59 || seconds > 60 {
            return Err(no_time());
        }
        let fraction = ((clock - whole as f64) * 1e6).round() as u64;
        Ok(Some(Moment {
            day: day.ok_or_else(no_date)?,
            time: ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + fraction,
        }))
    }

    /// Whole calendar days from `earlier` to this moment; 0 for the same day.
    pub(super) fn days_since(self, earlier: Moment) -> u32 {
        u32::try_from(self.day - earlier.day).unwrap_or(0)
    }
}

/// Days since 1 March of year 0; `None` for a day that no month has.
fn day_number(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=last).contains(&day) || year < 1 {
        return None;
    }
    // Counting years from March puts the leap day last.
    let (year, month) = match month {
        1 | 2 => (year - 1, month + 9),
        _ => (year, month - 3),
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400;
    Some(days + (153 * month + 2) / 5 + day - 1)
}

/// The date, `YYYYMMDD`, that lies `days` days after 1 March 2100.
pub(crate) fn date_after(days: i64) -> String {
    // Day number of 1 March 2100, then the inverse of `day_number`.
    let number = 365 * 2100 + 2100 / 4 - 2100 / 100 + 2100 / 400 + days;
    let mut year = number * 400 / 146_097;
    let of_year = |year: i64| 365 * year + year / 4 - year / 100 + year / 400;
    while of_year(year) > number {
        year -= 1;
    }
    while of_year(year + 1) <= number {
        year += 1;
    }
    let day = number - of_year(year);
    let month = (5 * day + 2) / 153;
    let of_month = day - (153 * month + 2) / 5 + 1;
    let (year, month) = match month {
        10.. => (year + 1, month - 9),
        _ => (year, month + 3),
    };
    format!("{year:04}{month:02}{of_month:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(date: &str, time: &str) -> Moment {
        let moment = Moment::parse(date, time).expect("well formed");
        moment.expect("both are there")
    }

    #[test]
    fn days_between_dates_are_the_calendars() {
        for (earlier, later, days) in [
            ("21800506", "21800506", 0),
            ("21800506", "21800507", 1),
            ("21791231", "21800101", 1),
            ("20000228", "20000301", 2),
            ("21000228", "21000301", 1),
            ("20000101", "24000101", 146_097),
        ] {
            let [earlier, later] = [earlier, later].map(|date| moment(date, "0"));
            assert_eq!(later.days_since(earlier), days);
        }
    }

    #[test]
    fn dates_are_written_as_they_are_read() {
        assert_eq!(date_after(0), "21000301");
        assert_eq!(date_after(-1), "21000228");
        let first = moment(&date_after(0), "0");
        for days in 0..3000 {
            assert_eq!(
                moment(&date_after(days), "0").days_since(first),
                days as u32
            );
        }
    }

    #[test]
    fn times_without_leading_zeros_are_ordered() {
        let times = ["5.5", "959.0", "80556.875", "213014.53100000002"];
        let moments = times.map(|time| moment("21800506", time));
        assert!(moments.is_sorted() && moments[0] < moments[1]);
        assert_eq!(
            moments[2].time,
            ((8 * 60 + 5) * 60 + 56) * 1_000_000 + 875_000
        );
        assert!(moments[3] < moment("21800507", "0"));
    }

    #[test]
    fn what_is_no_date_or_time_is_refused_and_blanks_are_missing() {
        for (date, time) in [
            ("21800230", "0"),
            ("21801301", "0"),
            ("2180050", "0"),
            ("2180-5-6", "0"),
            ("21800506", "noon"),
            ("21800506", "NaN"),
            ("21800506", "-1"),
            ("21800506", "240000"),
            ("21800506", "126100"),
        ] {
            assert!(Moment::parse(date, time).is_err(), "{date} {time}");
        }
        assert_eq!(Moment::parse("", "1200"), Ok(None));
        assert_eq!(Moment::parse("21800506", ""), Ok(None));
    }
}
