//! Methods, bodies and parts.

use super::{Attack, Lines, evil, hold, victim};

#[tokio::test]
async fn a_read_with_a_body_is_no_plain_read() {
    hold(&[
        Attack(
            "a GET with a body",
            &[],
            &[
                evil("/x/1", &[("content-length", "4")]).body("evil"),
                evil("/x/1", &[("transfer-encoding", "chunked")]).body("evil"),
                evil("/x/1", &[("content-length", "0"), ("content-length", "4")]).body("evil"),
                // As HTTP/2 sends it: nothing in the head tells of the body.
                evil("/x/1", &[]).body("evil"),
                victim("/x/1", &[]),
            ],
        ),
        Attack(
            "a HEAD with a body",
            &[],
            &[evil("/x/1", &[]).method("HEAD").body("evil"), victim("/x/1", &[]), victim("/x/1", &[]).method("HEAD")],
        ),
    ])
    .await;
}

#[tokio::test]
async fn an_answer_to_another_method_is_never_an_answer_to_a_read() {
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE", "PROPFIND", "get", "EVIL"] {
        let steps = vec![
            evil("/x/1", &[]).method(method).body("evil"),
            evil("/x/1?evil", &[]).method(method),
            victim("/x/1", &[]),
            victim("/x/1", &[]).method("HEAD"),
        ];
        hold(&[Attack("another method", &[], Vec::leak(steps))]).await;
    }
}

#[tokio::test]
async fn a_part_or_a_condition_of_one_is_not_anothers_whole() {
    let asked: [Lines; 9] = [
        &[("range", "bytes=0-0")],
        &[("range", "bytes=99999-")],
        &[("range", "bytes=0-0,2-2,4-4")],
        &[("range", "evil=0-1")],
        &[("range", "bytes=0-0"), ("if-range", "\"e\"")],
        &[("if-none-match", "*")],
        &[("if-none-match", "\"evil\"")],
        &[("if-match", "\"evil\"")],
        &[("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT")],
    ];
    for lines in asked {
        let steps =
            vec![evil("/x/1", lines), victim("/x/1", &[]), evil("/x/1", lines).method("HEAD"), victim("/x/1", &[])];
        hold(&[Attack("a part", &[], Vec::leak(steps))]).await;
    }
}

#[tokio::test]
async fn a_head_first_leaves_no_empty_answer() {
    hold(&[Attack("HEAD first", &[], &[evil("/x/1", &[]).method("HEAD"), victim("/x/1", &[])])]).await;
}
