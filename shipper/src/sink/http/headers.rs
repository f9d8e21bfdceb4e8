//! Headers of a request, which may depend on the events in it: those with the same values are sent
//! together, in their order.

use crate::event::Event;
use crate::format::template::Template;
use crate::sink::transport::{HeaderName, HeaderValue};
use crate::sink::{Batch, Item};

use super::HttpSinkError;

/// The headers of a sink.
pub struct Headers {
    constant: Vec<(HeaderName, HeaderValue)>,
    templates: Vec<(HeaderName, Template)>,
}

/// Events of a batch with the same headers.
pub struct Group<'a> {
    /// The values of the headers that depend on the event, each with its length before it.
    values: &'a [u8],
    /// Their places in the batch.
    pub places: Vec<usize>,
    /// The events with their lines.
    pub events: Vec<(&'a Item, &'a [u8])>,
}

impl Headers {
    /// Reads names and templates.
    ///
    /// # Errors
    /// When a name or a text is not allowed.
    pub fn new(settings: &[(String, String)]) -> Result<Headers, HttpSinkError> {
        let mut headers = Headers { constant: Vec::new(), templates: Vec::new() };
        for (name, text) in settings {
            let not_allowed = || HttpSinkError::Header(name.clone());
            let header = HeaderName::try_from(name).map_err(|_| not_allowed())?;
            let template = Template::parse(text)
                .map_err(|source| HttpSinkError::Template { name: name.clone(), source })?;
            if template.is_constant() {
                let value = HeaderValue::from_str(text).map_err(|_| not_allowed())?;
                headers.constant.push((header, value));
            } else {
                headers.templates.push((header, template));
            }
        }
        Ok(headers)
    }

    /// Whether they are the same for every event: then a batch is one group, and `encode` appends
    /// nothing.
    #[must_use]
    pub fn are_constant(&self) -> bool {
        self.templates.is_empty()
    }

    /// Appends what of the headers depends on the event.
    pub fn encode(&self, event: &Event, out: &mut Vec<u8>) {
        let mut value = String::new();
        for (_, template) in &self.templates {
            value.clear();
            template.render(event, &mut value);
            let length = u32::try_from(value.len()).expect("names and ids are shorter than 4 GiB");
            out.extend_from_slice(&length.to_le_bytes());
            // The name of a machine may hold anything; a header does not.
            out.extend(
                value.bytes().map(|byte| if (b' '..=b'~').contains(&byte) { byte } else { b'?' }),
            );
        }
    }

    /// The events of a batch by their headers, in the order in which each set comes first.
    pub fn groups<'a>(&self, batch: Batch<'a>) -> Vec<Group<'a>> {
        let mut groups: Vec<Group<'a>> = Vec::new();
        for (place, (item, bytes)) in batch.events().enumerate() {
            let (values, line) = bytes.split_at(self.values_end(bytes));
            let known = groups.iter_mut().find(|group| group.values == values);
            let group = match known {
                Some(group) => group,
                None => groups.push_mut(Group { values, places: Vec::new(), events: Vec::new() }),
            };
            group.places.push(place);
            group.events.push((item, line));
        }
        groups
    }

    fn values_end(&self, bytes: &[u8]) -> usize {
        self.templates.iter().fold(0, |at, _| at + 4 + length(&bytes[at..]))
    }

    /// The headers of the request for these events.
    pub fn values(&self, group: &Group<'_>) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = self.constant.clone();
        let mut rest = group.values;
        for (name, _) in &self.templates {
            let (value, after) = rest[4..].split_at(length(rest));
            rest = after;
            let value = HeaderValue::from_bytes(value).expect("`encode` left what may stand there");
            headers.push((name.clone(), value));
        }
        headers
    }
}

/// The length that stands at the beginning, which `encode` wrote.
fn length(bytes: &[u8]) -> usize {
    let length = bytes.first_chunk().expect("`encode` wrote it");
    u32::from_le_bytes(*length) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::testing;
    use crate::format::ecs;

    fn headers(settings: &[(&str, &str)]) -> Headers {
        let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        let settings: Vec<_> = settings.iter().map(owned).collect();
        Headers::new(&settings).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Of each request for these events: the values of its headers, the places of its events, and
    /// whether each of these is the line it should be.
    fn requests(headers: &Headers, events: &[Event]) -> Vec<(Vec<String>, Vec<usize>, bool)> {
        let (mut buffer, mut items, mut lines) = (Vec::new(), Vec::new(), Vec::new());
        for (number, event) in (0..).zip(events) {
            let start = buffer.len();
            headers.encode(event, &mut buffer);
            let line = buffer.len();
            ecs::encode(event, &mut buffer);
            lines.push(buffer[line..].to_vec());
            items.push(Item { id: event.id(), number, start, end: buffer.len() });
        }
        let groups = headers.groups(Batch::new(&buffer, &items));
        let request = |group: &Group<'_>| {
            let values = headers.values(group);
            let shown =
                values.iter().map(|(_, value)| value.to_str().unwrap().to_owned()).collect();
            let places = group.places.iter();
            let fits = places.zip(&group.events).all(|(place, (_, line))| lines[*place] == *line);
            (shown, group.places.clone(), fits)
        };
        groups.iter().map(request).collect()
    }

    #[test]
    fn events_are_sent_together_unless_a_header_differs() {
        let (exec, loss) = (testing::exec(), testing::loss());
        let events = [exec.clone(), loss.clone(), exec];
        let constant = headers(&[("X-Tenant", "prod")]);
        let all = (vec!["prod".to_owned()], vec![0, 1, 2], true);
        assert_eq!(requests(&constant, &events), [all]);
        let templates =
            headers(&[("X-A", "{event.action}"), ("X-B", "b"), ("X-C", "{host.name}!")]);
        let values = |action: &str| vec!["b".to_owned(), action.to_owned(), "host-1!".to_owned()];
        assert_eq!(
            requests(&templates, &events),
            [(values("exec"), vec![0, 2], true), (values("events-lost"), vec![1], true)]
        );
        assert_eq!(requests(&headers(&[]), &events), [(Vec::new(), vec![0, 1, 2], true)]);
    }

    #[test]
    fn what_no_header_may_hold_becomes_a_question_mark() {
        let Event::Loss(mut loss) = testing::loss() else { unreachable!("a loss") };
        loss.host =
            crate::event::Host { name: "a\r\nX-Evil: é".into(), ..Default::default() }.into();
        let requests = requests(&headers(&[("X-Host", "{host.name}")]), &[Event::Loss(loss)]);
        assert_eq!(requests[0].0, ["a??X-Evil: ??"]);
    }

    #[test]
    fn names_and_values_that_http_does_not_allow_are_errors() {
        for (name, text) in [("X Tenant", "a"), ("X-Tenant", "a\nb"), ("X-Tenant", "{host.id")] {
            let settings = [(name.to_owned(), text.to_owned())];
            assert!(Headers::new(&settings).is_err(), "{name}: {text}");
        }
    }
}
