"""Field rules go, and nothing else does."""

from tandemkit.cli.clients.stripping import without_rules

RULED = """syntax = "proto3";

import "buf/validate/validate.proto";
import "google/protobuf/duration.proto";

// A note; with [brackets, and] a "quote.
message Note {
  option (buf.validate.message).cel = {
    id: "note"
    expression: "this.text != ';'"
  };
  option deprecated = true;

  // The text.
  string text = 1 [(buf.validate.field).string = {
    pattern: "^[^];]*$"
    in: [
      "a",
      "b"
    ]
  }];
  bytes key = 2 [
    (buf.validate.field).bytes.min_len = 16,
    debug_redact = true
  ];
  int32 plain = 3 [deprecated = true]; // [(buf.validate.field) in a comment]
  oneof kind {
    option (buf.validate.oneof).required = true;
    string name = 4;
  }
}
"""
BARE = """syntax = "proto3";

import "google/protobuf/duration.proto";

// A note; with [brackets, and] a "quote.
message Note {
  option deprecated = true;

  // The text.
  string text = 1;
  bytes key = 2 [debug_redact = true];
  int32 plain = 3 [deprecated = true]; // [(buf.validate.field) in a comment]
  oneof kind {
    string name = 4;
  }
}
"""


def test_rules_go_and_the_rest_stays() -> None:
    """Whatever brackets, quotes and semicolons the rules and the comments have in them."""
    assert without_rules(RULED) == BARE


def test_a_contract_without_rules_is_left_alone() -> None:
    """Not a byte of it changes; our own options stay, with lists in their values."""
    assert without_rules(BARE) == BARE
    own = (
        'service A {\n  option (tandem.options.v1.aliases) = "A";\n  option (x) = {a: [1, 2]};\n}\n'
    )
    assert without_rules(own) == own
