//! The access log as Istio has it by default: its fields, and the line they make.

use serde::Serialize;

/// A field of a line.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Field {
    /// Its name where the line is JSON.
    pub(crate) name: &'static str,
    /// The operator that Envoy puts a value in the place of.
    pub(crate) operator: &'static str,
    /// Whether it stands in quotes where the line is text.
    quoted: bool,
}

const fn field(name: &'static str, operator: &'static str) -> Field {
    Field { name, operator, quoted: false }
}

const fn in_quotes(name: &'static str, operator: &'static str) -> Field {
    Field { name, operator, quoted: true }
}

/// All of them, in the order of the line (istio/istio, pilot/pkg/model/telemetry_logging.go).
pub(crate) const FIELDS: [Field; 24] = [
    field("start_time", "%START_TIME%"),
    field("method", "%REQ(:METHOD)%"),
    field("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    field("protocol", "%PROTOCOL%"),
    field("response_code", "%RESPONSE_CODE%"),
    field("response_flags", "%RESPONSE_FLAGS%"),
    field("response_code_details", "%RESPONSE_CODE_DETAILS%"),
    field("connection_termination_details", "%CONNECTION_TERMINATION_DETAILS%"),
    in_quotes("upstream_transport_failure_reason", "%UPSTREAM_TRANSPORT_FAILURE_REASON%"),
    field("bytes_received", "%BYTES_RECEIVED%"),
    field("bytes_sent", "%BYTES_SENT%"),
    field("duration", "%DURATION%"),
    field("upstream_service_time", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"),
    in_quotes("x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"),
    in_quotes("user_agent", "%REQ(USER-AGENT)%"),
    in_quotes("request_id", "%REQ(X-REQUEST-ID)%"),
    in_quotes("authority", "%REQ(:AUTHORITY)%"),
    in_quotes("upstream_host", "%UPSTREAM_HOST%"),
    field("upstream_cluster", "%UPSTREAM_CLUSTER_RAW%"),
    field("upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%"),
    field("downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    field("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    field("requested_server_name", "%REQUESTED_SERVER_NAME%"),
    field("route_name", "%ROUTE_NAME%"),
];

/// The line as text, with its end: the time in brackets, then the request line in quotes, then all else.
pub(super) fn line() -> String {
    let shown = |f: &Field| if f.quoted { format!("\"{}\"", f.operator) } else { f.operator.to_owned() };
    let words: Vec<String> = FIELDS.iter().map(shown).collect();
    let (time, rest) = words.split_first().map_or(("", words.as_slice()), |(first, rest)| (first.as_str(), rest));
    let (request, rest) = rest.split_at_checked(3).unwrap_or_default();
    format!("[{time}] \"{}\" {}\n", request.join(" "), rest.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_begins_and_ends_as_istios_does_and_has_each_operator_once() {
        let line = line();
        assert!(line.starts_with(
            "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% "
        ));
        assert!(line.ends_with(" %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n"));
        for field in FIELDS {
            assert_eq!(line.matches(field.operator).count(), 1, "{}", field.operator);
        }
        assert_eq!(line.matches('"').count(), 2 + 2 * FIELDS.iter().filter(|f| f.quoted).count());
    }
}
