//! Expressions: what they say, what an absent field does, and what is said of those that are wrong.

use std::path::Path;

use super::*;
use crate::event::testing::{exec, exit, facts, loss};
use crate::event::{Event, FileHash, RuleMatch, Severity};

fn compiled(source: &str) -> Result<Expression, ExpressionError> {
    Expression::new(source, Place::Rule, &mut Lists::new(Path::new("/")))
}

/// A script of the user 1000 in /tmp, below three ancestors, with recorded variables.
fn script() -> Event {
    let Event::Exec(mut exec) = exec() else { unreachable!("an exec") };
    exec.file.path.bytes = b"/tmp/a b/x.sh".as_slice().into();
    exec.file.facts = Some(crate::event::FileFacts { uid: 1000, mode: 0o104_757, ..facts() });
    exec.file.hash = Some(FileHash::Sha256([0xab; 32]));
    exec.process.env.list = [
        "SSH_CONNECTION=10.1.2.3 50000 10.0.0.1 22",
        "TWICE=ok",
        "TWICE=/tmp/a.so",
        "LINK=fe80::1%eth0 1 2 3",
        "MAPPED=::ffff:10.1.2.3",
    ]
    .map(|variable| variable.as_bytes().into())
    .into();
    exec.process.comm = b"x.sh".as_slice().into();
    Event::Exec(exec)
}

fn holds(source: &str, event: &Event) -> bool {
    let expression = compiled(source).unwrap_or_else(|error| panic!("{source}: {error:?}"));
    expression.holds(&Recorded::new(event).expect("no report"))
}

#[test]
fn expressions_say_what_they_say() {
    let cases = [
        ("event.action == 'exec' && event.outcome == 'success'", true),
        ("event.action == 'end'", false),
        ("file.uid != 0", true),
        ("file.uid in [0, 1000]", true),
        ("file.uid in [0, 1]", false),
        ("file.not_root_owned && file.world_writable && file.setuid && !file.setgid", true),
        ("file.memfd", false),
        ("file.memfd == false", true),
        ("file.mode == '4757'", true),
        ("file.path.startsWith('/tmp/')", true),
        ("file.path.glob('/tmp/*/*.sh')", true),
        ("file.path.glob('/tmp/*.sh')", false),
        ("file.path.glob('/{var/tmp,tmp}/**')", true),
        ("file.name == 'x.sh' && file.name.matches('^x[.]sh$')", true),
        ("file.path.contains(' ') && file.path.endsWith(process.name)", true),
        ("file.hash.sha256.startsWith('abab') && size(file.hash.sha256) == 64", true),
        ("'-l' in process.args && process.args[0] == 'ls' && process.args_count == 2", true),
        ("process.args[7] == 'ls' || process.args[7] != 'ls'", false),
        ("process.command_line == 'ls -l'", true),
        ("process.args.exists(a, a.startsWith('-'))", true),
        ("process.args.all(a, a.startsWith('-'))", false),
        ("process.args.all(a, size(a) > 1)", true),
        ("['/var', '/tmp'].exists(dir, file.path.startsWith(dir))", true),
        ("process.parent.name == 'sh' && process.parent.args[1] == '-c'", true),
        ("process.parent.command_line == 'sh -c ls -l' && process.parent.pid == 30", true),
        ("ancestors.exists(a, a.command_line == 'sshd -D' && a.pid == 20)", true),
        ("ancestors.exists(a, a.args.exists(x, x == 'splash'))", true),
        ("ancestors.exists(a, a.executable == '/usr/sbin/sshd')", false),
        ("size(ancestors) == 3", true),
        ("env.SSH_CONNECTION.cidr('10.0.0.0/8')", true),
        ("env['SSH_CONNECTION'].cidr('10.2.0.0/16')", false),
        ("size('\u{e9}') == 1 && size(env.TWICE) == 2", true),
        ("env.TWICE == 'ok' && env.TWICE == '/tmp/a.so' && env.TWICE.startsWith('/tmp/')", true),
        ("env.TWICE in ['no', '/tmp/a.so'] && '/tmp/a.so.1'.startsWith(env.TWICE)", true),
        ("env.TWICE == 'no' || env.TWICE.endsWith('x')", false),
        ("env.LINK.cidr('fe80::/10') && env.MAPPED.cidr('10.0.0.0/8')", true),
        ("ancestors.all(a, a.pid > 0) && process.args.all(a, a != '')", true),
        ("has(env.LD_PRELOAD) || has(env.SSH_CONNECTIO)", false),
        ("user.id == 1000 && process.real_user.id >= 1000 && user.id < 1001", true),
        ("-1 < user.id", true),
        ("user.id in [1] || true", true),
    ];
    for (source, expected) in cases {
        assert_eq!(holds(source, &script()), expected, "{source}");
    }
}

#[test]
fn what_is_absent_makes_every_comparison_false() {
    let bare = exec();
    let cases = [
        ("file.uid == 0", false),
        ("file.uid != 0", false),
        ("!(file.uid == 0)", true),
        ("has(file.uid)", false),
        ("file.not_root_owned", false),
        ("file.memfd == false", false),
        ("has(file.memfd)", false),
        ("process.exit_code == 0", false),
        ("has(container.id) || container.name.startsWith('')", false),
        ("has(process.env_vars)", false),
        ("env.A == 'x' || env.A != 'x'", false),
        ("has(process.args) && has(process.name)", true),
        // Its ancestors have no executable.
        ("has(process.parent.executable)", false),
        ("ancestors.exists(a, has(a.executable))", false),
    ];
    for (source, expected) in cases {
        assert_eq!(holds(source, &bare), expected, "{source}");
    }
}

#[test]
fn the_end_of_a_process_has_its_own_fields_and_none_of_an_exec() {
    let cases = [
        ("event.action == 'end' && process.exit_code == 3", true),
        ("exit.duration_ns > 1000000000 && process.name == 'ls'", true),
        ("has(exit.signal) || has(file.path) || has(user.id) || has(event.outcome)", false),
        ("process.parent.name == 'sh'", true),
        ("process.env_vars.all(v, v == 'x')", false),
        ("!process.env_vars.exists(v, v == 'x')", true),
    ];
    for (source, expected) in cases {
        assert_eq!(holds(source, &exit()), expected, "{source}");
    }
}

#[test]
fn a_sink_is_asked_by_what_the_rules_said_and_reports_always_pass() {
    let with = |severities: &[Severity]| {
        let Event::Exec(mut exec) = exec() else { unreachable!("an exec") };
        exec.matches = severities
            .iter()
            .map(|severity| RuleMatch {
                id: format!("test.{}", severity.as_str()).into(),
                name: "".into(),
                severity: *severity,
                tags: [Box::from("attack.t1059")].into(),
            })
            .collect();
        Event::Exec(exec)
    };
    let when = |source: &str| {
        Expression::new(source, Place::Sink, &mut Lists::new(Path::new("/"))).expect(source)
    };
    let high = when("severity >= high");
    assert!(high.passes(&with(&[Severity::Low, Severity::Critical, Severity::Medium])));
    assert!(!high.passes(&with(&[Severity::Medium])));
    assert!(!high.passes(&with(&[])), "without a match there is no severity");
    assert!(high.passes(&loss()));
    assert!(when("severity < low").passes(&with(&[Severity::Informational])));
    assert!(!when("severity < low || severity >= low").passes(&with(&[])));
    assert!(when("'test.low' in rules && size(rules) == 1").passes(&with(&[Severity::Low])));
    assert!(when("tags.exists(t, t.startsWith('attack.'))").passes(&with(&[Severity::Low])));
    assert!(!when("'x' in tags").passes(&with(&[Severity::Low])));
    assert!(when("!(file.uid == 0)").passes(&exit()));
}

#[test]
fn a_list_from_a_file_is_read_once_and_looked_into() {
    let dir = tempfile::tempdir().expect("a directory");
    let list = "\u{feff}x.sh\r\n# names\n ls \n\n";
    std::fs::write(dir.path().join("bad.txt"), list).expect("written");
    std::fs::write(dir.path().join("utf16.txt"), "l\0s\0").expect("written");
    let mut lists = Lists::new(dir.path());
    let listed = Expression::new("process.name in lines('bad.txt')", Place::Rule, &mut lists)
        .expect("valid");
    let script = script();
    assert!(listed.holds(&Recorded::new(&script).expect("an exec")));
    std::fs::remove_file(dir.path().join("bad.txt")).expect("removed");
    assert!(Expression::new("file.name in lines('bad.txt')", Place::Rule, &mut lists).is_ok());
    let missing = Expression::new("file.name in lines('no.txt')", Place::Rule, &mut lists);
    assert_eq!(missing.expect_err("no such file").at, 19);
    let wrong = Expression::new("file.name in lines('utf16.txt')", Place::Rule, &mut lists);
    assert!(
        wrong
            .expect_err("no text")
            .message
            .ends_with("is no text; save it as UTF-8, one entry a line")
    );
    let hash = Expression::new("file.hash.sha256 in lines('bad.txt')", Place::Rule, &mut lists);
    let message = hash.expect_err("no hash").message;
    assert!(message.ends_with("in lower case, but an entry of this file is `ls`"), "{message}");
    for (source, at) in
        [("size(lines('bad.txt')) > 1", 10), ("lines('bad.txt').all(x, x == '')", 5)]
    {
        let error = Expression::new(source, Place::Rule, &mut lists).expect_err(source);
        assert!(error.message.contains("looked into"), "{error}");
        assert_eq!(error.at, at, "{source}");
    }
}

/// Each with the place, in characters, and the beginning of what is said.
#[test]
fn what_is_wrong_is_said_with_its_place() {
    let deep = format!("{}true{}", "(".repeat(60), ")".repeat(60));
    let not = format!("{}true", "!".repeat(200));
    let chain = format!("a{}", ".b".repeat(1000));
    let calls = format!("file.path{}", ".size()".repeat(300));
    let sums = format!("1{}", "+1".repeat(1000));
    let ins = format!("1{}", " in 1".repeat(500));
    let long = format!("{}true", "true || ".repeat(600));
    let cases = [
        ("", 0, "the expression is empty"),
        ("file.uid = 0", 9, "to compare, write `==`"),
        ("file.uid ==", 11, "this is no expression: `its end` does not belong here"),
        ("file.uid === 0", 9, "to compare, write `==`"),
        ("file.uid => 1", 9, "for `=>`, write `>=`"),
        ("file.uid =< 1", 9, "for `=<`, write `<=`"),
        ("file.uid <> 0", 9, "for `<>`, write `!=`"),
        ("file.memfd and file.setuid", 11, "for `and`, write `&&`"),
        ("'and' == file.name OR file.setuid", 19, "for `OR`, write `||`"),
        ("not file.setuid", 0, "for `not`, write `!`"),
        ("'x' not in process.args", 4, "for `not`, write `!`"),
        ("file.memfd & file.setuid", 11, "for `&`, write `&&`"),
        ("file.memfd | file.setuid", 11, "for `|`, write `||`"),
        ("'é' == file.name || file.name == ‘bash’", 33, "texts stand in straight quotes"),
        ("(file.uid != 0", 14, "this is no expression: a `)` is missing"),
        ("process.name == bash", 16, "there is no field `bash`; a text stands in quotes"),
        ("file.uid == 0 0", 14, "this is no expression: `0` does not belong here"),
        ("file.path == 'a' # b", 17, "this is no expression: "),
        ("event.action == 'execve'", 16, "`event.action` is `exec`, `end`, never `execve`"),
        ("'0o755' != file.mode", 0, "`file.mode` is 4 octal digits, never `0o755`"),
        ("file.hash.sha256 in ['AA']", 20, "`file.hash.sha256` is 64 hexadecimal digits in lower"),
        ("file.uid == 'root'", 9, "a number cannot be compared with a text"),
        ("file.pth == 'x'", 0, "there is no field `file.pth`; did you mean `file.path`?"),
        ("é == 'x'", 0, "this is no expression: "),
        ("'é' == file.pth", 7, "there is no field `file.pth`"),
        ("file.path", 0, "this must be true or false, but is a text"),
        ("process.args", 0, "this must be true or false, but is a list"),
        ("file.path < 'x'", 10, "texts are compared with == and !="),
        ("file.path.foo('x')", 13, "there is no function `foo`"),
        ("file.uid.startsWith('1')", 0, "this must be a text, but is a number"),
        ("file.path.glob('[')", 15, "this is no pattern: "),
        ("file.path.matches('(')", 18, "this is no regular expression: "),
        ("file.path.matches('(a{99}){99}{99}')", 18, "this is no regular expression: "),
        ("file.path.matches(file.name)", 18, "this must be a text in quotes"),
        ("file.path.cidr('10.0.0.0')", 15, "this must be a network"),
        ("process.args.map(a, a) == ['x']", 16, "of the loops there are"),
        ("process.args.exists(a, process.args.exists(b, a == b))", 42, "this in a loop"),
        ("process.args.exists(a, a in process.env_vars)", 25, "this in a loop"),
        ("process.args.exists(a, ancestors.exists(b, a == b.name))", 39, "this in a loop"),
        ("ancestors.exists(a, a.name in process.args)", 27, "this in a loop"),
        ("process.args.exists(a, process.command_line.contains(a))", 23, "this in a loop"),
        ("process.args.exists(a, a == env.A)", 28, "this in a loop"),
        ("file.path in []", 13, "an empty list"),
        ("file.path in ['a', 1]", 13, "a list holds either"),
        ("file.uid in ['a']", 9, "`in` looks for a text among texts"),
        ("file.uid + 1 == 2", 9, "this operator has no meaning here"),
        ("file.uid > 0 ? true : false", 13, "this operator has no meaning here"),
        ("severity >= high", 0, "`severity` is known once the rules have been tried"),
        ("'x' in rules", 7, "`rules` is known once"),
        ("file.uid == null", 12, "nothing is ever null"),
        ("file.uid == 1.5", 12, "numbers here are whole"),
        ("has(true)", 4, "this is no expression: "),
        (
            "file.path.matches('a\\.b')",
            20,
            "`\\.` is nothing; in a text each backslash is written twice",
        ),
        ("file.path == 'a\nb'", 15, "a text ends in the line"),
        ("file.path == '\\ud800'", 13, "this is no expression: this text has a character"),
        ("has(process.args[0])", 16, "this is no expression: `has` takes a field"),
        ("true == file.memfd", 5, "flags are compared with"),
        ("-9223372036854775808 < 0 && -(-9223372036854775808) < 0", 28, "this number is too large"),
        (
            "ancestors.exists(a, a.args.exists(x, ancestors.exists(b, x in b.args)))",
            53,
            "this in a loop",
        ),
        ("ancestors.exists(a, a.args.exists(x, a.command_line.contains(x)))", 37, "this in a loop"),
        ("process.args.exists(x, process.parent.command_line.contains(x))", 23, "this in a loop"),
        ("file.path == \"x", 13, "the text that begins here has no closing quote"),
        ("file.path == r'x'", 14, "raw texts have no meaning here"),
        ("file.path == '''x'''", 15, "a text has one quote on each side"),
        ("true // x", 5, "a comment has no meaning here"),
        (&deep, 24, "this is nested too deep"),
        (&not, 24, "this is nested too deep"),
        (&chain, 49, "this is nested too deep"),
        (&calls, 0, "this is nested too deep"),
        (&sums, 49, "this is nested too deep"),
        (&ins, 0, "this is nested too deep"),
        (&long, 0, "the expression is longer than 4096 bytes"),
    ];
    let mut wrong = Vec::new();
    for (source, at, start) in cases {
        match compiled(source) {
            Ok(_) => wrong.push(format!("{source} is valid")),
            Err(error) => {
                let is_there = error.at == at || at == 0;
                if !(is_there && error.message.starts_with(start)) {
                    wrong.push(format!("{source:.60}: {error:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_nested_as_deep_as_it_may_be_is_read() {
    let deep = format!("{}true{}", "(".repeat(24), ")".repeat(24));
    assert!(compiled(&deep).is_ok(), "{:?}", compiled(&deep));
    let not = format!("{}file.memfd", "!".repeat(23));
    assert!(compiled(&not).is_ok(), "{:?}", compiled(&not));
}

#[test]
fn a_long_chain_of_alternatives_is_not_deep() {
    let source = "user.id == 1 || file.path.startsWith('/x') && ".repeat(80) + "true";
    assert!(compiled(&source).is_ok());
}

mod any_text {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn is_an_expression_or_an_error(source in ".{0,80}") {
            let _ = compiled(&source);
        }

        #[test]
        fn of_parts_is_an_expression_or_an_error(parts in proptest::collection::vec(
            prop_oneof![
                Just("file.path"), Just("process.args"), Just("ancestors"), Just(".exists(a, "),
                Just("a"), Just("("), Just(")"), Just("=="), Just("'x'"), Just("1"), Just("&&"),
                Just("!"), Just(" in "), Just("["), Just("]"), Just("has("), Just("size("),
                Just(".glob('*')"), Just("?"), Just(":"), Just(","), Just("."), Just("-"),
                Just("{"), Just("}"), Just("\\"), Just("b'x'"), Just("1u"), Just("`a`"), Just("é"),
            ],
            0..24,
        )) {
            if let Ok(expression) = compiled(&parts.concat()) {
                let _ = expression.passes(&script());
            }
        }
    }
}
