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
    use crate::sink::testing::{Encoded, events};

    fn headers(settings: &[(&str, &str)]) -> Headers {
        let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        Headers::new(&settings.iter().map(owned).collect::<Vec<_>>())
            .unwrap_or_else(|error| panic!("{error}"))
    }

    fn shown(headers: &Headers, group: &Group<'_>) -> Vec<String> {
        let values = headers.values(group);
        values.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
    }
}
