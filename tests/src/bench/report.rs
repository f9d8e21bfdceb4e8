//! The figures, for programs and for people.

use serde_json::{Value, json};

/// One figure with its aim.
#[derive(Debug)]
pub struct Figure {
    /// What was measured.
    pub name: &'static str,
    /// The measure.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// What it should be.
    pub aim: Option<Aim>,
    /// How it was measured.
    pub how: String,
}

/// What is aimed at.
#[derive(Clone, Copy, Debug)]
pub enum Aim {
    /// This or less.
    AtMost(f64),
    /// This or more.
    AtLeast(f64),
}

impl Figure {
    fn is_reached(&self) -> Option<bool> {
        self.aim.map(|aim| match aim {
            Aim::AtMost(most) => self.value <= most,
            Aim::AtLeast(least) => self.value >= least,
        })
    }

    fn verdict(&self) -> &'static str {
        match self.is_reached() {
            None => "",
            Some(true) => "reached",
            Some(false) => "missed",
        }
    }

    fn aim_shown(&self) -> String {
        match self.aim {
            None => String::new(),
            Some(Aim::AtMost(most)) => format!("<= {}", shown(most, self.unit)),
            Some(Aim::AtLeast(least)) => format!(">= {}", shown(least, self.unit)),
        }
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name,
            "value": round(self.value),
            "unit": self.unit,
            "aim_at_most": match self.aim { Some(Aim::AtMost(most)) => Some(most), _ => None },
            "aim_at_least": match self.aim { Some(Aim::AtLeast(least)) => Some(least), _ => None },
            "reached": self.is_reached(),
            "how": self.how,
        })
    }
}

/// The whole document.
pub fn document(figures: &[Figure], details: Value) -> Value {
    json!({
        "machine": machine(),
        "figures": figures.iter().map(Figure::json).collect::<Vec<_>>(),
        "details": details,
    })
}

/// A table for people.
pub fn table(figures: &[Figure]) -> String {
    let rows: Vec<[String; 5]> = figures
        .iter()
        .map(|figure| {
            let value = shown(figure.value, figure.unit);
            let aim = figure.aim_shown();
            [figure.name.into(), value, aim, figure.verdict().into(), figure.how.clone()]
        })
        .collect();
    let head = ["figure", "measured", "aim", "verdict", "how"].map(str::to_owned);
    let width = |column: usize| {
        rows.iter().chain([&head]).map(|row| row[column].chars().count()).max().unwrap_or(0)
    };
    let widths: [usize; 4] = std::array::from_fn(width);
    let mut table = String::new();
    for [name, value, aim, verdict, how] in [&head].into_iter().chain(&rows) {
        let [a, b, c, d] = widths;
        let line = format!("{name:<a$}  {value:>b$}  {aim:>c$}  {verdict:<d$}  {how}");
        table.push_str(line.trim_end());
        table.push('\n');
    }
    table
}

fn machine() -> Value {
    let uname = rustix::system::uname();
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find(|line| line.starts_with("model name"));
    json!({
        "kernel": uname.release().to_string_lossy(),
        "architecture": uname.machine().to_string_lossy(),
        "cpus": std::thread::available_parallelism().map_or(0, usize::from),
        "cpu_model": model.and_then(|line| Some(line.split_once(':')?.1.trim())),
    })
}

fn shown(value: f64, unit: &str) -> String {
    format!("{} {unit}", round(value)).trim_end().to_owned()
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_says_whether_its_aim_is_reached_in_both_forms() {
        let figure = |value, aim| Figure { name: "n", value, unit: "ms", aim, how: "so".into() };
        let most = Some(Aim::AtMost(1.0));
        let figures = [
            figure(1.0, most),
            figure(1.5, most),
            figure(2.0, None),
            figure(0.5, Some(Aim::AtLeast(1.0))),
        ];
        let verdicts: Vec<Value> =
            figures.iter().map(|figure| figure.json()["reached"].clone()).collect();
        assert_eq!(verdicts, [json!(true), json!(false), Value::Null, json!(false)]);
        let table = table(&figures);
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[1].contains("reached") && lines[2].contains("missed"), "{table}");
        assert!(!lines[3].contains("reached") && !lines[3].contains("missed"), "{table}");
    }
}
