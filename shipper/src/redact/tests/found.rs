//! What is found.

use super::*;

const ROWS: &[(&str, &str)] = &[
    // Options.
    ("password_option", "tool · --password=«hunter2»"),
    ("password_option", "tool · --password · «hunter2» · file"),
    ("password_option", "tool · --PASSWORD=«hunter2»"),
    ("password_option", "tool · --password=«my secret phrase» · file"),
    ("password_option", "tool · --password=«a=b&c;d»"),
    ("password_option", "tool · --passwd · «x»"),
    ("password_option", "tool · --pass · «x»"),
    ("password_option", "tool · --db-pass=«x»"),
    ("password_option", "tool · --secret=«x»"),
    ("password_option", "tool · --token · «x»"),
    ("password_option", "tool · --api-key=«x»"),
    ("password_option", "tool · --apikey · «x»"),
    ("password_option", "tool · --api_key · «x»"),
    ("password_option", "tool · --access-key · «x»"),
    ("password_option", "tool · --client-secret=«x»"),
    ("password_option", "tool · --clientSecret=«x»"),
    ("password_option", "tool · --auth-token · «x»"),
    ("password_option", "tool · --http-password=«x»"),
    ("password_option", "tool · --user · me · --admin.password · «x»"),
    ("password_option", "gpg · --batch · --passphrase · «x» · -d · f"),
    ("password_option", "keytool · -storepass · «x» · -keypass · «y»"),
    ("password_option", "java · -password · «x»"),
    ("password_option", "tailscale · up · --authkey=«x»"),
    ("password_option", "kubeadm · join · --token · «abcdef.0123» · h:6443"),
    ("password_option", "openssl · rsa · -passin · pass:«x» · -in · k"),
    ("password_option", "plink · -pw · «x» · host"),
    // In a command that a shell gets.
    ("password_option", "sh · -c · tool --password=«x»; curl evil | sh"),
    ("password_option", "sh · -c · tool --password «x» --host h"),
    ("password_option", "sh · -c · tool --password='«my secret»' next"),
    ("password_option", "sh · -c · tool --password \"«my secret»\" next"),
    ("password_option", "bash · -lc · ssh h 'tool --token \"«a b»\" next'"),
    ("password_option", "sh · -c · tool --password='«cut off»"),
    ("password_field", "sh · -c · PGPASSWORD=«x» psql -h h"),
    ("password_field", "sh · -c · export TOKEN=\"«x y»\"; run"),
    ("password_field", "bash · -c · TOKEN=\"«x y»\""),
    ("password_field", "ssh · h · PGPASSWORD=«x» psql -h h"),
    ("password_field", "docker · run · -e · DB_PASSWORD=«a b c» · app"),
    ("password_field", "docker · run · --env=DB_PASSWORD=«a b c» · app"),
    ("password_field", "python3 · -c · connect(user='u', password='«x»')"),
    // Variables and fields.
    ("password_field", "env · PGPASSWORD=«x» · psql"),
    ("password_field", "docker · run · -e · MYSQL_ROOT_PASSWORD=«x» · mysql"),
    ("password_field", "docker · run · --env=DB_PASS=«x» · app"),
    ("password_field", "env · MYSQL_PWD=«x» · mysql"),
    ("password_field", "rails · SECRET_KEY_BASE=«x»"),
    ("password_field", "java · -Dspring.datasource.password=«x» · -jar · a.jar"),
    ("password_field", "helm · upgrade · --set · auth.password=«x»"),
    ("url_token", "curl · -d · user=u&password=«x»&next=1 · https://h"),
    ("password_field", "tool · Server=h;Uid=u;Pwd=«x»;Database=d"),
    ("password_field", "curl · -d · {\"user\": \"u\", \"password\": \"«x\\\"y z»\"} · https://h"),
    ("password_field", "sh · -c · curl -d \"{\\\"api_key\\\":\\\"«x»\\\"}\" https://h"),
    ("password_field", "python3 · -c · d={'client_secret': '«x»'}"),
    // Programs.
    ("mysql_password", "mysql · -uroot · -p«hunter2» · db"),
    ("mysql_password", "/usr/bin/mysqldump · -p«hunter2» · -P · 3306 · db"),
    ("mysql_password", "mysqladmin · -u · root · -p«8080» · status"),
    ("mysql_password", "mariadb-dump · -p«x» · db"),
    ("mysql_password", "sudo · -u · root · mysql · -p«1234»"),
    ("mysql_password", "sh · -c · if LANG=C mysql -p«1234»; then x; fi"),
    ("mysql_password", "/opt/mysql/bin/mysql · -p«x»"),
    ("mysql_password", "docker · exec · db · mysql · -p«1234»"),
    ("mysql_password", "docker · exec · db · mysql · -p«hunter2»"),
    ("mysql_password", "sh · -c · mysqldump -u root -p'«my pass»' db | gzip > f"),
    ("mysql_password", "sh · -c · cd /srv && mysql -p'«cut off»"),
    ("password_option", "sshpass · -p · «x» · ssh · -p · 22 · me@h"),
    ("password_option", "sshpass · -p«x» · scp · -P · 22 · f · h:"),
    ("password_option", "curl · -u · me:«x» · https://h"),
    ("password_option", "curl · -ume:«x» · https://h"),
    ("password_option", "curl · -sSu · me:«x» · https://h"),
    ("password_option", "curl · --user · me:«x:y» · https://h"),
    ("password_option", "curl · --proxy-user · me:«x» · https://h"),
    ("password_option", "redis-cli · -h · h · -a · «x» · PING"),
    ("password_option", "mongodump · -u · me · -p · «x» · -d · db"),
    ("password_option", "ldapsearch · -D · cn=me · -w · «x»"),
    ("password_option", "sqlcmd · -S · h · -U · sa · -P · «x»"),
    ("password_option", "smbclient · //h/s · -U · me%«x»"),
    ("password_option", "docker · login · -u · me · -p · «x» · registry"),
    // In quotes within a word of a script.
    ("mysql_password", "bash · -c · x=\"$(mysql -uroot -p«S» -e 1)\""),
    ("mysql_password", "bash · -c · x=\"$(mysql -p\"«S T»\" -e 1)\"; y"),
    ("mysql_password", "bash · -c · x=\"`mysql -p«S» db`\""),
    ("mysql_password", "bash · -c · export N=\"a $(mysql -p«S»)\""),
    ("mysql_password", "bash · -c · tool --cmd=\"mysql -p«S» db\""),
    ("mysql_password", "bash · -c · ssh h 'x=\"$(mysql -p«S» db)\"; y'"),
    ("mysql_password", "bash · -c · x=\"$(y=\"$(mysql -p«S» db)\")\""),
    ("password_option", "bash · -c · y=\"$(curl -su u:«S» https://h)\""),
    ("password_option", "bash · -c · x=\"$(tool --password «S»)\""),
    ("password_option", "bash · -c · tool --password \"$(vault --token «S»)\""),
    // A command behind a name.
    ("password_option", "ssh · -o · ProxyCommand=sshpass -p «S» ssh -W %h:%p jump · host"),
    ("password_option", "ssh · -o · ProxyCommand sshpass -p «S» ssh -W %h:%p jump · host"),
    ("password_option", "ssh · -oProxyCommand=sshpass -p «S» ssh jump · host"),
    ("password_option", "rsync · --rsh=sshpass -p «S» ssh · a · b"),
    ("mysql_password", "tool · --cmd=mysql -p«S» db"),
    ("mysql_password", "tool · --cmd=sudo /usr/bin/mysql -p«S» db"),
    ("password_option", "sh · -c · ssh -o 'ProxyCommand=sshpass -p «S» ssh jump' host"),
    ("password_option", "sh · -c · DB=mysql curl -u u:«S» https://h"),
    // Behind another program.
    ("mysql_password", "sh · -c · { mysql -p«S» db; }"),
    ("mysql_password", "find · / · -name · x · -exec · mysql · -p«S» · ;"),
    ("mysql_password", "find · / · -exec · env · A=b · mysql · -p«S» · ;"),
    ("password_option", "tini · -- · redis-cli · -a · «S»"),
    ("mysql_password", "unknown · run · -- · mysql · -p«S» · db"),
    ("mysql_password", "gosu · me · mysql · -p«S»"),
    ("mysql_password", "su-exec · me · mysql · -p«S»"),
    ("mysql_password", "setpriv · --reuid=1 · mysql · -p«S»"),
    ("mysql_password", "dumb-init · mysql · -p«S»"),
    ("mysql_password", "taskset · -c · 0 · mysql · -p«S»"),
    ("mysql_password", "chrt · -b · 0 · mysql · -p«S»"),
    ("mysql_password", "pkexec · mysql · -p«S»"),
    ("mysql_password", "cgexec · -g · cpu:x · mysql · -p«S»"),
    ("mysql_password", "firejail · --quiet · mysql · -p«S»"),
    ("mysql_password", "/lib64/ld-linux-x86-64.so.2 · /usr/bin/mysql · -p«S»"),
    ("password_option", "/bin/bash · /usr/bin/curl · -u · u:«S»"),
    ("password_option", "/bin/bash · -e · /usr/bin/curl · -u · u:«S»"),
    // Letters together.
    ("password_option", "curl · -sSLuadmin:«S» · h"),
    ("password_option", "curl · -XPOST · -kuadmin:«S» · h"),
    ("password_option", "curl · -sSkL4u · me:«S» · h"),
    ("password_option", "ldapsearch · -LLLxw · «S»"),
    ("password_option", "ldapmodify · -xw«S»"),
    ("mysql_password", "mysql · -BNp«S» · db"),
    ("mysql_password", "mysqldump · -dtp«S» · db"),
    ("password_option", "sshpass · -vp · «S» · ssh · h"),
    ("password_option", "ipmitool · -vvP · «S» · power"),
    ("password_option", "ssh-keygen · -t · rsa · -qN · «S» · -f · k"),
    ("password_option", "ssh-keygen · -p · -P · «S» · -N · «T» · -f · k"),
    // Names of a few letters.
    ("password_option", "tool · --admin_pw · «S»"),
    ("password_option", "tool · --db.pw · «S»"),
    ("password_field", "tool · {\"pw\":\"«S»\"}"),
    ("password_field", "tool · {'pw': '«S»'}"),
    ("password_field", "python3 · -c · d={\"pw\": \"«S»\"}"),
    ("password_field", "sh · -c · curl -d \"{\\\"pw\\\":\\\"«S»\\\"}\" h"),
    ("password_field", "env · APP__API__KEY=«S» · app"),
    ("password_option", "redis-server · --requirepass · «S» · --masterauth · «T»"),
    // OpenSSL.
    ("password_option", "openssl · rsa · --passin · pass:«S» · -in · k"),
    ("password_option", "openssl · rsa · -passin=pass:«S» · -in · k"),
    ("password_option", "openssl · enc · --pass · pass:«S» · -in · k"),
    ("password_option", "sh · -c · openssl rsa -passin \"pass:«S»\" -in k"),
    ("password_option", "sh · -c · openssl rsa --passin='pass:«S»' -in k"),
    // A line that goes on.
    ("password_option", "sh · -c · tool --password \\\n  «S» \\\n  --next"),
    ("password_option", "sh · -c · tool --password\\\n «S\\\nT» U"),
    ("password_option", "sh · -c · curl \\\n-u u:«S»"),
    // A name and a value.
    ("password_option", "pulumi · config · set · --secret · dbKey · «S»"),
    ("password_option", "pulumi · config · set · dbKey · «S» · --secret"),
    ("password_option", "pulumi · config · set · dbKey · --secret · «S»"),
    ("password_option", "sh · -c · A=b pulumi config set --secret dbKey '«S»'; x"),
    // Options of a program in a container.
    ("password_option", "docker · run · --rm · img · --secret · «S»"),
    ("password_option", "docker · run · -it · -e · A=b · img · tool · --secret · «S» · x"),
    ("password_option", "docker · exec · c · tool · --secret=«S»"),
    ("password_option", "tool · docker · --secret · «S»"),
    // No references of a shell.
    ("password_option", "tool · --password · «$NAME»"),
    ("password_option", "sh · -c · tool --password '«$NAME»'"),
    ("password_option", "sh · -c · tool --password «$NAME-x»"),
    ("password_field", "sh · -c · PGPASSWORD='«$NAME»' psql"),
    ("password_field", "curl · -d · {\"user\": \"u\", \"password\": \"«$x»\"} · h"),
    ("url_userinfo", "curl · https://me:«$x»@h/"),
    ("password_field", "mysql · -e · CREATE USER u IDENTIFIED BY '«S»'"),
    ("password_field", "sh · -c · mysql -e \"alter user u identified with x by \\\"«S»\\\"\""),
    // URLs.
    ("url_userinfo", "git · clone · https://me:«x»@example.org/r.git"),
    ("url_userinfo", "psql · postgresql://me:«x%40y»@h:5432/db?sslmode=require"),
    ("url_userinfo", "tool · redis://:«x»@h:6379/0"),
    ("url_userinfo", "tool · https://me:«p@ss»@h/"),
    ("url_userinfo", "tool · mongodb://me:«pa/ss»@h/db"),
    ("url_userinfo", "sh · -c · wget 'https://me:«x»@h/f' -O g"),
    ("url_token", "curl · https://h/p?access_token=«x»&next=1"),
    ("url_token", "curl · https://h/p?a=1&token=«x»#top"),
    ("url_token", "azcopy · https://h/p?sv=2020&sig=«x%3D»&se=1"),
    ("url_token", "curl · https://h/o?X-Amz-Date=1&X-Amz-Signature=«abc»"),
    // Headers.
    ("authorization_header", "curl · -H · Authorization: Bearer «abc.def» · https://h"),
    ("authorization_header", "curl · -H · authorization: Basic «bWU6eA==» · https://h"),
    ("authorization_header", "curl · --header=Authorization: token «abc» · https://h"),
    ("authorization_header", "curl · -HAuthorization: «abc» · https://h"),
    ("authorization_header", "curl · -H · X-Api-Key: «abc» · https://h"),
    ("authorization_header", "curl · -H · X-Vault-Token:«abc» · https://h"),
    ("authorization_header", "curl · -H · PRIVATE-TOKEN: «abc» · https://h"),
    ("authorization_header", "curl · -H · Cookie: «session=abc; b=c» · https://h"),
    ("authorization_header", "sh · -c · curl -H 'Authorization: Bearer «abc»' https://h | sh"),
    ("authorization_header", "sh · -c · curl -H \"Proxy-Authorization: Basic «abc»\" https://h"),
    ("authorization_header", "curl · -H · Cookie: «a=\"S\"; b=c» · https://h"),
    ("authorization_header", "curl · -H · X-Api-Key: «\"S\"» · https://h"),
    ("authorization_header", "curl · -H · Authorization: Bearer «pa'S» · https://h"),
    (
        "authorization_header",
        "curl · -H · Authorization: Digest «username=\"u\", response=\"S\"» · https://h",
    ),
    ("authorization_header", "curl · -HCookie: «a='S'»\r\nX-Other: 1 · https://h"),
    ("authorization_header", "curl · -H · DD-API-KEY: «S» · https://h"),
    ("authorization_header", "http · GET · h · X-Master-Key:«S»"),
    ("authorization_header", "sh · -c · curl -H X-Api-Key:«S» https://h"),
    ("authorization_header", "sh · -c · http GET h X-Master-Key:«S»; x"),
    ("authorization_header", "sh · -c · curl --header X-Api-Key:«\"S T\"» https://h"),
    ("authorization_header", "sh · -c · curl -H 'Cookie: «a=\"S\"; b=c»' https://h"),
    ("authorization_header", "sh · -c · curl -H \"Cookie: «a=\\\"S\\\"; b=c»\" https://h"),
    ("authorization_header", "sh · -c · curl -H \"Authorization: Bearer «a$NAME»\" https://h"),
    ("authorization_header", "curl · -H · Authorization: Bearer «$NAME» · https://h"),
    ("authorization_header", "python3 · -c · f(\"{\\\"a\\\":\\\"Cookie: «S»\\\"}\", 'b')"),
    ("authorization_header", "tool · auth · Bearer «abcdefghijklmnopqrstuvwxyz»"),
    // Shapes.
    ("github_token", "x · «gh~p_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789»"),
    ("github_token", "x · a=«gh~o_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789»,b"),
    ("github_token", "x · «gh~u_AbCdEfGhIjKl» · «gh~s_AbCdEfGhIjKl» · «gh~r_AbCdEfGhIjKl»"),
    ("github_token", "x · «github~_pat_11ABCDEFG0123456789_abcdefghij»"),
    ("github_token", "git · clone · https://«gh~p_AbCdEfGhIjKl»@github.com/o/r"),
    ("gitlab_token", "x · «glp~at-AbCdEfGhIjKlMnOpQrSt»"),
    ("slack_token", "x · «xox~b-123456789012-abcdefghijkl»"),
    ("slack_token", "x · «xox~p-1234-5678-90» · «xox~a-2-abcdefgh» · «xox~r-abcdefgh»"),
    ("slack_token", "x · «xox~d-AbC%2BdEf%2F12»"),
    ("slack_token", "curl · https://hooks.sl~ack.com/services/«T000/B000/XXXX»"),
    ("aws_key", "x · «AK~IAABCDEFGHIJKLMNOP» · «AS~IAABCDEFGHIJKLMNOP»"),
    ("aws_key", "env · AWS_SECRET_ACCESS_KEY=«abcdefghij/klmnopqrst+uvwxyzABCDEFGHIJKL» · aws"),
    (
        "aws_key",
        "aws · configure · set · aws_secret_access_key · «abcdefghij/klmnopqrst+uvwxyzABCDEFGHIJKL»",
    ),
    ("google_key", "x · «AI~zaSyA1234567890abcdefghijklmnopqrstuv»"),
    ("stripe_key", "x · «sk_li~ve_AbCdEfGhIjKlMnOpQrStUvWx»"),
    ("api_key", "x · «sk-an~t-api03-AbCdEfGhIjKlMnOp»"),
    ("jwt", "x · «eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl» · y"),
    (
        "private_key",
        "sh · -c · echo '«-----BEGIN OPENSSH PRIVATE ~KEY-----\nb3BlbnNzaC1r\nZXk=\n-----END OPENSSH PRIVATE ~KEY-----»' > k",
    ),
    (
        "private_key",
        "x · a«-----BEGIN RSA PRIVATE ~KEY-----\\nMIIE\\n-----END RSA PRIVATE ~KEY-----»b · c",
    ),
    ("private_key", "x · «-----BEGIN PRIVATE ~KEY-----\nMIIEcut»"),
    (
        "private_key",
        "x · [\"«-----BEGIN PRIVATE ~KEY-----\", \"MIIEvQIBADANBgkqhkiG\",\"MIIEvQIBADANBgkqhkiGMII»\"] · y",
    ),
    (
        "private_key",
        "sh · -c · printf '%s\\n' '«-----BEGIN RSA PRIVATE ~KEY-----' 'MIIE' 'AAAA=' '-----END RSA PRIVATE ~KEY-----»' > k",
    ),
    (
        "private_key",
        "x · [\"«-----BEGIN PRIVATE ~KEY-----\",\"MIIE\", \"AAAA=\",\"-----END PRIVATE ~KEY-----»\"] · y",
    ),
    (
        "private_key",
        "echo · «-----BEGIN» · «PRIVATE» · «KEY-----» · «MIIE» · «AAAA=» · «-----END» · «PRIVATE» · «KEY-----» · > k",
    ),
    (
        "private_key",
        "x · «-----BEGIN PGP PRIVATE ~KEY BLOCK-----\n\nlQOY\n=abcd\n-----END PGP PRIVATE ~KEY BLOCK-----»",
    ),
];

#[test]
fn secrets_are_replaced_and_all_else_stays() {
    let redactor = redactor();
    let wrong: Vec<_> = ROWS
        .iter()
        .map(|(kind, row)| {
            let seen = redact(&redactor, &list(&plain(row)));
            (seen, (expected(row, kind), vec![(*kind).to_owned()]))
        })
        .filter(|(seen, wanted)| seen != wanted)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Wherever in a secret the end of the arguments is missing, no more is left of it than this.
const LEFT_BYTES_MAX: usize = 5;

#[test]
fn a_secret_that_was_cut_is_replaced_as_well() {
    let redactor = redactor();
    let rows = [
        "x · --password=«hunter2hunter2»",
        "x · --password · «hunter2hunter2»",
        "mysql · -p«hunter2hunter2»",
        "curl · -u · me:«hunter2hunter2»",
        "curl · -H · Authorization: Bearer «hunter2hunter2»",
        "x · https://me:«hunter2hunter2»@h/",
        "x · https://h/?token=«hunter2hunter2»",
        "x · «gh~p_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789»",
        "x · «github~_pat_11ABCDEFG0123456789_abcdefghij»",
        "x · «xox~b-123456789012-abcdefghijkl»",
        "x · «AK~IAABCDEFGHIJKLMNOP»",
        "x · «AI~zaSyA1234567890abcdefghijklmnopqrstuv»",
        "x · «glp~at-AbCdEfGhIjKlMnOpQrSt»",
        "x · «sk_li~ve_AbCdEfGhIjKlMnOpQrStUvWx»",
        "x · «sk-an~t-AbCdEfGhIjKlMnOpQrSt»",
        "aws · configure · set · aws_secret_access_key · «abcdefghij/klmnopqrst+uvwxyzABCDEFGHIJKL»",
        "x · «-----BEGIN PRIVATE ~KEY-----\nMIIEvQIBADANBgkqhkiG9w0\n-----END PRIVATE ~KEY-----»",
        "sh · -c · tool --password='«my hunter2 secret»'",
        "x · {\"password\": \"«hunter2hunter2»\"}",
    ];
    for row in rows {
        let row = row.replace('~', "");
        let (before, rest) = row.split_once('«').expect("a secret");
        let (secret, _) = rest.split_once('»').expect("its end");
        for length in LEFT_BYTES_MAX + 1..secret.len() {
            let args = Args { truncated: true, ..list(&format!("{before}{}", &secret[..length])) };
            let (shown, _) = redact(&redactor, &args);
            // A prefix such as `-----BEGIN PRIV` tells nothing.
            let begun = prefix(secret);
            if length > begun + LEFT_BYTES_MAX {
                assert!(shown.contains("[redacted:"), "{shown}");
                assert!(!shown.contains(&secret[begun..length]), "{shown}");
            }
        }
    }
}

/// Bytes of a token that say what it is and are no secret.
fn prefix(secret: &str) -> usize {
    let known = [
        "-----BEGIN PRIVATE KEY-----\n",
        "github_pat_",
        "ghp_",
        "xoxb-",
        "AKIA",
        "AIza",
        "glpat-",
        "sk_live_",
        "sk-ant-",
    ];
    known.iter().find(|known| secret.starts_with(**known)).map_or(0, |known| known.len())
}
