//! What files are accepted, and what is told of those that are not.

use std::path::Path as FilePath;

use unstale::testing::Folder;

use super::*;

const EXAMPLE: &str = include_str!("../../../../../docs/reference/gateway.example.toml");
const SCHEMA_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/gateway.schema.json");
/// A file with nothing wrong, to which faults are added.
const GOOD: &str = "[listen]\naddress = \"127.0.0.1:0\"\n[upstreams.api]\nservers = [\"http://127.0.0.1:8000\"]\n";

fn parse_in(text: &str, directory: &FilePath) -> Result<Plan, Vec<Fault>> {
    let env = |name: &str| match name {
        "SHORT" => Some("short".to_owned()),
        "LONG" => Some("a secret of thirty-two bytes, or more".to_owned()),
        "NO_REDIS" => Some("http://user:planted@host".to_owned()),
        "DATABASE" => Some("sqlite://user:planted@records.db".to_owned()),
        _ => None,
    };
    parse(text, &Surroundings { directory, env: &env })
}

/// Everything that is told of a text, one fault a line.
fn told(text: &str) -> Vec<String> {
    let faults = parse_in(text, FilePath::new("/nonexistent")).err().unwrap_or_default();
    faults.iter().map(ToString::to_string).collect()
}

/// That what is told of a good file with this added is one fault that begins and goes on like this.
fn check(added: &str, begins: &str, holds: &str) {
    let told = told(&format!("{GOOD}{added}"));
    assert_eq!(told.len(), 1, "{added}: {told:#?}");
    assert!(told[0].starts_with(begins), "{added}: {}", told[0]);
    assert!(told[0].contains(holds), "{added}: {}", told[0]);
}

#[test]
fn the_example_is_good() {
    let plan = parse_in(EXAMPLE, FilePath::new("/nonexistent")).unwrap();
    assert_eq!(plan.file.routes.len(), 4);
    assert_eq!(plan.file.upstreams["api"].timeouts.connect.to_string(), "1s");
    assert_eq!(told(GOOD), Vec::<String>::new());
}

#[test]
fn the_schema_in_the_repository_is_the_one_of_the_types() {
    let schema = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(SCHEMA_FILE, schema).unwrap();
    } else {
        let file = std::fs::read_to_string(SCHEMA_FILE).unwrap_or_default();
        assert!(file == schema, "gateway.schema.json is out of date: run the test again with UPDATE_SCHEMA=1");
    }
}

#[test]
fn every_keyword_of_the_schema_is_one_that_is_judged() {
    const JUDGED: [&str; 14] = [
        "$ref",
        "additionalProperties",
        "anyOf",
        "const",
        "enum",
        "items",
        "maximum",
        "minimum",
        "minItems",
        "oneOf",
        "properties",
        "required",
        "type",
        "x-text",
    ];
    const TOLD_ONLY: [&str; 8] = ["$defs", "$schema", "default", "description", "format", "pattern", "title", "x-each"];
    fn look(schema: &Value) {
        let Some(object) = schema.as_object() else { return };
        for (keyword, value) in object {
            let keyword = keyword.as_str();
            assert!(JUDGED.contains(&keyword) || TOLD_ONLY.contains(&keyword), "{keyword} in {schema}");
            match keyword {
                "properties" | "$defs" => value.as_object().unwrap().values().for_each(look),
                "anyOf" | "oneOf" => value.as_array().unwrap().iter().for_each(look),
                "items" | "additionalProperties" => look(value),
                "x-text" | "x-each" => assert!(texts::Text::named(value.as_str().unwrap()).is_some(), "{value}"),
                _ => {}
            }
        }
        // Only numbers have a format that the types judge as well.
        let is_number = object.get("type").is_some_and(|kind| kind.to_string().contains("integer"));
        assert!(is_number || !object.contains_key("format"), "{schema}");
    }
    look(&schema());
}

#[test]
fn all_faults_are_told_at_once_with_their_places() {
    let text = "\
[listen]
adress = \"127.0.0.1:80\"
http2 = \"yes\"
connections_max = 0
[upstreams.api]
servers = [\"http://127.0.0.1:8000\", \"backend\"]
timeouts = { connect = \"1 second\" }
[[routes]]
path = \"/a/{id}\"
upstream = \"apii\"
groups = [\"a:{ident}\"]
[[routes]]
path = \"b\"
upstream = \"api\"
[[routes]]
path = \"/a/{name}\"
upstream = \"api\"
cache = { ttl = \"5m\" }
";
    let told = told(text);
    let expected = [
        "1:1: listen.address is missing: expected an IP address and a port",
        "2:1: listen.adress is no setting: expected one of",
        "3:9: listen.http2 is a text: expected true or false",
        "4:19: listen.connections_max is 0: expected a whole number from 1 to 1000000",
        "6:37: upstreams.api.servers[1] is \"backend\": expected http:// or https://",
        "7:24: upstreams.api.timeouts.connect is \"1 second\": expected a whole number with its unit",
        "13:8: routes[1].path is \"b\": expected a path that begins with '/'",
    ];
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}");
    }
    assert!(told[1].ends_with("did you mean address?"), "{}", told[1]);
    assert_eq!(told.len(), expected.len(), "{told:#?}");
}

#[test]
fn what_is_meant_is_checked_although_something_else_is_malformed() {
    let text = format!(
        "{GOOD}[[routes]]\npath = \"b\"\nupstream = \"api\"\n[[routes]]\npath = \"/a/{{id}}\"\nupstream = \"apii\"\n"
    );
    let told = told(&text);
    assert!(told[0].starts_with("6:8: routes[0].path is \"b\""), "{told:#?}");
    // The place and the number are those of the text, although the one before it was left out.
    assert!(told[1].starts_with("10:12: routes[1].upstream is \"apii\""), "{told:#?}");
    assert!(told[1].ends_with("expected the name of an upstream (\"api\"); add [upstreams.apii]"), "{told:#?}");
}

#[test]
fn what_is_no_toml_is_told_by_line() {
    let told = told("[listen]\naddress = \n[upstreams.api\n");
    assert!(told.len() >= 2, "{told:?}");
    assert!(told[0].starts_with("2:") && told[1].starts_with("3:"), "{told:?}");
}

#[test]
fn routes_are_checked() {
    let check = |more: &str, begins: &str, holds: &str| {
        check(&format!("[[routes]]\npath = \"/a/{{id}}\"\nupstream = \"api\"\n{more}\n"), begins, holds);
    };
    check("groups = [\"a:{ident}\"]", "8:11: routes[0].groups[0] names {ident}", "({id})");
    check("groups = [\"a:{id\"]", "8:11: routes[0].groups[0] is", "each '{' with its '}'");
    check("groups = [\"a:id}\"]", "8:11: routes[0].groups[0] is", "each '{' with its '}'");
    check("sharing = \"public\"\ncache = {}", "9:9: routes[0].cache.ttl is missing", "lifetime = \"origin\"");
    let origin = |more: &str| format!("sharing = \"public\"\ncache = {{ lifetime = \"origin\", {more} }}");
    check(&origin("grace = \"5s\""), "9:40: routes[0].cache.grace is there", "stale_while_revalidate");
    check("sharing = \"public\"\ncache = { ttl = \"5s\", retain = \"1s\" }", "9:32: routes[0].cache.retain", "origin");
    check("sharing = \"public\"\ncache = { ttl = \"5s\", origin = {} }", "9:32: routes[0].cache.origin", "origin");
    check("sharing = \"public\"\ncache = { ttl = \"5s\", mode = \"strict\", bound = \"1s\" }", "9:48:", "strict");
    check("sharing = \"public\"\ncache = { ttl = \"5s\", mode = \"stale_ok\" }", "9:30:", "a bound");
    check("cache = { ttl = \"5s\" }", "8:9: routes[0].cache would keep nothing", "[[identity]]");
    check("methods = [\"GET\"]\ninvalidates = [\"a\"]", "9:15: routes[0].invalidates", "POST");
    check("methods = [\"POST\"]\nsharing = \"public\"\ncache = { ttl = \"5s\" }", "10:9:", "GET");
    check("methods = [\"get\"]", "8:12: routes[0].methods[0] is \"get\"", "capital");
    check("query = \"only\"", "8:9: routes[0].query is", "names");
    check("query_names = [\"a\"]", "8:15: routes[0].query_names", "only");
    check("browser = \"max_age\"", "8:11: routes[0].browser", "browser_max_age");
    check("browser_max_age = \"1h\"", "8:19: routes[0].browser_max_age", "max_age");
    check("sharing = \"everybody\"", "8:11: routes[0].sharing", "\"principal\" or \"tenant\" or \"public\"");
    check(
        "[[routes]]\npath = \"/a/{name}\"\nmethods = [\"GET\"]\nupstream = \"api\"",
        "9:8: routes[1].path matches what the route in line 5",
        "methods of their own",
    );
    let other = "methods = [\"GET\"]\n[[routes]]\npath = \"/a/{name}\"\nmethods = [\"POST\"]\nupstream = \"api\"";
    assert_eq!(told(&format!("{GOOD}[[routes]]\npath = \"/a/{{id}}\"\nupstream = \"api\"\n{other}")).len(), 0);
}

#[test]
fn identities_are_checked() {
    let check = |more: &str, begins: &str, holds: &str| {
        check(&format!("[tenant]\nfixed = \"t\"\n[[identity]]\nname = \"n\"\n{more}\n"), begins, holds);
    };
    check("", "7:1: identity[0] has no kind", "exactly one");
    let jwt = |more: &str| format!("[identity.jwt]\nissuers = [\"i\"]\naudiences = [\"a\"]\n{more}");
    check(&jwt(""), "9:1: identity[0].jwt has no keys", "one of jwks_file");
    check(&jwt("secret_env = \"SHORT\""), "12:14: identity[0].jwt.secret_env leads to a secret of 5 bytes", "32");
    check(&jwt("secret_env = \"GONE\""), "12:14: identity[0].jwt.secret_env names \"GONE\"", "environment");
    check(&jwt("secret_file = \"gone\""), "12:15: identity[0].jwt.secret_file names", "no such file");
    check(&jwt("secret_env = \"LONG\"\nalgorithms = [\"RS256\"]"), "13:15:", "HS256");
    check(&jwt("jwks_url = \"https://i/k\"\nalgorithms = [\"HS256\"]"), "13:15:", "public keys");
    check(&jwt("jwks_url = \"https://i/k\"\nleeway = \"1h\""), "13:10: identity[0].jwt.leeway is 1h", "at most 5m");
    check("[identity.jwt]\nissuers = []\naudiences = [\"a\"]\njwks_url = \"https://i\"", "10:11:", "at least 1");
    let introspection = "[identity.introspection]\nupstream = \"apo\"\npath = \"/me\"\nprincipal = \"id\"";
    check(introspection, "10:12: identity[0].introspection.upstream is \"apo\"", "api");
    check("[identity.mutual_tls]", "9:1: identity[0].mutual_tls needs", "client_ca");
    check("[identity.trusted_header]\nprincipal = \"x-user\"", "9:1: identity[0].trusted_header would be", "from");
    let two = "[identity.mutual_tls]\n[identity.trusted_header]\nprincipal = \"x-user\"";
    check(two, "7:1: identity[0] has more than one kind", "exactly one");
    let told = told(&format!("{GOOD}[[identity]]\nname = \"n\"\n{}\nsecret_env = \"LONG\"", jwt("")));
    assert!(told.len() == 1 && told[0].contains("does not say the tenant"), "{told:?}");
}

#[test]
fn nobody_shares_by_a_host_that_they_choose_themselves() {
    let routes = "[[routes]]\npath = \"/a\"\nupstream = \"api\"\nsharing = \"tenant\"\n";
    let text = |hosts: &str, more: &str, cache: &str| {
        let jwt = "issuers = [\"i\"]\naudiences = [\"a\"]\nsecret_env = \"LONG\"\n";
        let identity = format!("[[identity]]\nname = \"n\"\n[identity.jwt]\n{jwt}{more}");
        format!("[tenant]\nhosts = {{ {hosts} }}\n{identity}{routes}{cache}")
    };
    let (two, cache) = ("\"a.example\" = \"a\", \"b.example\" = \"b\"", "cache = { ttl = \"1m\" }\n");
    check(&text(two, "", cache), "7:1: identity[0] does not say the tenant", "routes[0]");
    let good = [
        text(two, "tenant = \"org\"\n", cache),
        text("\"a.example\" = \"a\", \"b.example\" = \"a\"", "", cache),
        text(two, "", ""),
        text(two, "", cache).replace("\"tenant\"\n", "\"principal\"\n"),
    ];
    for good in good {
        assert_eq!(told(&format!("{GOOD}{good}")), Vec::<String>::new(), "{good}");
    }
    let introspection = "[[identity]]\nname = \"n\"\n[identity.introspection]\nupstream = \"api\"\npath = \"/me\"\nprincipal = \"id\"\n";
    let asked = format!("{GOOD}[tenant]\nhosts = {{ {two} }}\n{introspection}{routes}{cache}");
    assert_eq!(told(&asked), Vec::<String>::new());
}

#[test]
fn no_tenant_has_the_name_under_which_public_answers_are_kept() {
    check("[tenant]\nfixed = \"public\"", "6:9: tenant.fixed is \"public\", the name", "another name");
    let hosts = "[tenant]\nhosts = { \"a.example\" = \"public\" }";
    check(hosts, "6:25: tenant.hosts.\"a.example\" is \"public\", the name", "another name");
}

#[test]
fn the_other_parts_are_checked() {
    check("[cache]\nsecret_env = \"SHORT\"", "6:14: cache.secret_env leads to a secret of 5 bytes", "32");
    check("[cache]\nredis_breaker_open = \"0s\"", "6:22: cache.redis_breaker_open is 0s", "a longer time");
    check("[cache]\nredis_breaker_failures = 0", "6:26: cache.redis_breaker_failures is 0", "1 to 1000");
    check("[cache]\nredis_url = \"redis://h\"", "5:1: cache.secret_file is missing", "same on all nodes");
    check("[cache]\nversion = \"a b\"", "6:11: cache.version is \"a b\"", "letters");
    check("[cache]\nvary_on = [\"cookie\"]", "6:12: cache.vary_on[0]", "[credentials]");
    for timeout in ["head_timeout", "idle_timeout", "write_timeout"] {
        let listen = format!("address = \"127.0.0.1:0\"\n{timeout} = \"0s\"");
        let told = told(&GOOD.replacen("address = \"127.0.0.1:0\"", &listen, 1));
        assert!(told[0].contains(&format!("listen.{timeout} is 0s")) && told[0].contains("a longer time"), "{told:?}");
    }
    check("[log]\nfilter = \"a=b=c\"", "6:10: log.filter", "info");
    check("[control]\naddress = \"here\"", "6:11: control.address is \"here\"", "an IP address");
    let credential = "[control]\naddress = \"127.0.0.1:1\"\n[[control.credentials]]\nname = \"n\"\ntenants = [\"*\"]\n";
    check(credential, "7:1: control.credentials[0] has no token", "unstale gateway token");
    check(
        &format!("{credential}token_blake3 = \"planted\""),
        "10:16: control.credentials[0].token_blake3 is malf",
        "64",
    );
    let some = credential.replace("\"*\"", "\"a\"");
    check(
        &format!("{some}operates = true\ntoken_blake3 = \"{}\"", "0".repeat(64)),
        "10:12: control.credentials[0].operates is true beside some tenants",
        "credential of its own",
    );
    check("[upstreams.b]\nservers = []", "6:11: upstreams.b.servers is an empty list", "at least 1");
    let tls = "[control]\naddress = \"127.0.0.1:1\"\n[control.tls]\ncertificate = \"gone.pem\"\nkey = \"gone.key\"\n";
    let told = told(&format!("{GOOD}{tls}client_required = true\nclient_crl = \"gone.crl\""));
    for (told, begins) in told.iter().zip([
        "8:15: control.tls.certificate names",
        "9:7: control.tls.key names",
        "10:19: control.tls.client_required is true, but nobody",
        "11:14: control.tls.client_crl says whom to refuse, but nobody",
    ]) {
        assert!(told.starts_with(begins), "{told}");
    }
    assert_eq!(told.len(), 4, "{told:?}");
    check(
        "[upstreams.b]\nservers = [\"http://b\"]\ntls = { server_name = \"b\" }",
        "7:7: upstreams.b.tls is there for servers",
        "https",
    );
}

#[test]
fn headers_that_no_upstream_gets_tell_nothing_apart() {
    check(
        "[cache]\nvary_on = [\"x_plan\"]",
        "6:12: cache.vary_on[0] is \"x_plan\", which is taken out",
        "any_header_name",
    );
    let credentials = "[credentials]\nheaders = [\"x-user\", \"X.User\"]";
    check(credentials, "6:22: credentials.headers[1] is \"X.User\", which is taken out", "letters, digits");
    let let_through = "any_header_name = true\n[cache]\nvary_on = [\"x_plan\"]\n";
    assert_eq!(told(&format!("{GOOD}{let_through}{credentials}")), Vec::<String>::new());
}

#[test]
fn records_are_checked() {
    let good = "[records]\ndatabase_url_env = \"DATABASE\"\n";
    assert_eq!(told(&format!("{GOOD}{good}")), Vec::<String>::new());
    check("[records]", "5:1: records.database_url_env is missing", "database_url_file");
    let other = "[records]\ndatabase_url_env = \"NO_REDIS\"";
    check(other, "6:20: records.database_url_env leads to something else", "sqlite: or postgres://");
    let two = format!("{good}database_url_file = \"url\"");
    check(&two, "7:21: records.database_url_file stands beside the other", "one of");
    for every in ["1ms", "1h"] {
        let wrong = format!("{good}write_every = \"{every}\"");
        check(&wrong, &format!("7:15: records.write_every is {every}"), "100ms to 10m");
    }
}

#[test]
fn no_fault_holds_a_secret() {
    let text = format!(
        "{GOOD}[cache]\nsecret_env = \"SHORT\"\nredis_url_env = \"NO_REDIS\"\n[control]\naddress = \"127.0.0.1:1\"\n\
         [[control.credentials]]\nname = \"n\"\ntenants = [\"*\"]\ntoken_blake3 = \"planted\"\n"
    );
    let told = told(&text).join("\n");
    assert!(told.contains("cache.redis_url_env leads to something else"), "{told}");
    assert!(!told.contains("planted") && !told.contains("short"), "{told}");
}

#[test]
fn files_are_read_from_the_directory_of_the_configuration() {
    let directory = Folder::new();
    std::fs::write(directory.path().join("secret"), "a secret of thirty-two bytes, or more\n").unwrap();
    let text = format!("{GOOD}[cache]\nsecret_file = \"secret\"\n");
    let plan = parse_in(&text, directory.path()).unwrap();
    assert_eq!(plan.secret.unwrap().expose(), b"a secret of thirty-two bytes, or more");
    assert_eq!(plan.files, [ReadFile::new(&directory.path().join("secret"), None).again()]);
    assert!(plan.files[0].hash.is_some());
}
