//! Every flat field of the Common Information Model that our events have. Below `shipper` are those of
//! the native format.

use crate::format::reference::{Field, Kind, fields};

/// The flat fields, in the order of an event.
pub const FIELDS: &[Field] = fields! {
    "time" Date "time" "",
    "vendor_product" Keyword "schema" "`shipper`",
    "dest" Keyword "host.name" "",
    "os" Keyword "host.os_full" "PRETTY_NAME of os-release, or NAME, or `linux`",
    "action" Keyword "failure.errno" "`allowed`; `blocked` for an attempt that a deny rule or a security module refused, or that failed with EACCES or EPERM; absent of one that failed otherwise, and of what is no execution",
    "user" Keyword "process.names.euid" "Name of the effective user after the exec, or its id where it has none",
    "user_id" Keyword "process.credentials.euid" "",
    "process" Keyword "process.args.list" "The arguments joined by spaces",
    "process_current_directory" Keyword "process.working_directory" "",
    "process_exec" Keyword "process.executable" "Name of the file of the binary that was loaded",
    "process_guid" Keyword "process.entity_id" "",
    "process_hash" Keyword "interpreter.sha256" "SHA-256 of the binary that was loaded, as it was executed (enrich.hash)",
    "process_id" Long "process.pid" "",
    "process_name" Keyword "process.comm" "",
    "process_path" Keyword "process.executable" "",
    "parent_process" Keyword "ancestry.args.list" "Arguments of the parent joined by spaces",
    "parent_process_exec" Keyword "ancestry.executable" "Name of the file of its binary",
    "parent_process_guid" Keyword "ancestry.entity_id" "Its identity",
    "parent_process_id" Long "ancestry.pid" "Process that made this one, also when it has ended since",
    "parent_process_name" Keyword "ancestry.comm" "Its name",
    "parent_process_path" Keyword "ancestry.executable" "Its binary",
    "severity" Keyword "rules.severity" "Of the gravest rule that matched: informational, low, medium, high or critical",
    "signature" Keyword "rules.name" "Its name",
    "signature_id" Keyword "rules.id" "Its id",
};
