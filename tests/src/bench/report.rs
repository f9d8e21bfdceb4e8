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
    /// It should be at most this.
    pub aim: Option<f64>,
    /// How it was measured.
    pub how: String,
}

impl Figure {
    fn verdict(&self) -> &'static str {
        match self.aim {
            None => "",
            Some(aim) if self.value <= aim => "reached",
            Some(_) => "missed",
        }
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name,
            "value": round(self.value),
            "unit": self.unit,
            "aim_at_most": self.aim,
            "reached": self.aim.map(|aim| self.value <= aim),
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
            let shown =
                |value: f64| format!("{} {}", round(value), figure.unit).trim_end().to_owned();
            let (value, aim) = (shown(figure.value), figure.aim.map_or(String::new(), shown));
            [figure.name.into(), value, aim, figure.verdict().into(), figure.how.clone()]
        })
        .collect();
    let head = ["figure", "measured", "at most", "verdict", "how"].map(str::to_owned);
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

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_says_whether_its_aim_is_reached_in_both_forms() {
        let figure = |value, aim| Figure { name: "n", value, unit: "ms", aim, how: "so".into() };
        let figures = [figure(1.0, Some(1.0)), figure(1.5, Some(1.0)), figure(2.0, None)];
        let verdicts: Vec<Value> =
            figures.iter().map(|figure| figure.json()["reached"].clone()).collect();
        assert_eq!(verdicts, [json!(true), json!(false), Value::Null]);
        let table = table(&figures);
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[1].contains("reached") && lines[2].contains("missed"), "{table}");
        assert!(!lines[3].contains("reached") && !lines[3].contains("missed"), "{table}");
    }
}
