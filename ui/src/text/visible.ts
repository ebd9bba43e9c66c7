/**
 * Text from workflows, models and the web is shown as text and nothing else. Characters that
 * would reorder or hide what surrounds them are spelt out, so that what is read is what is there.
 */

// Controls but tab and line ends; soft hyphen; zero-width and bidirectional marks; tags.
const HIDDEN =
    /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\u{e0000}-\u{e007f}]/gu;

export function visible(text: string): string {
    return text.replace(HIDDEN, (found) => {
        const code = found.codePointAt(0) ?? 0;
        const hex = code.toString(16).padStart(4, "0");
        return hex.length > 4 ? `\\u{${hex}}` : `\\u${hex}`;
    });
}

export function shorten(text: string, most: number): string {
    return text.length > most ? `${text.slice(0, most)}…` : text;
}
