/** Drawings of 16 by 16; they never carry meaning alone: a word stands beside or in a label. */

import type { ReactNode } from "react";

function icon(body: ReactNode) {
    return function Icon({ className }: { className?: string }) {
        return (
            <svg
                viewBox="0 0 16 16"
                width="16"
                height="16"
                fill="none"
                stroke="currentColor"
                strokeWidth="1.6"
                strokeLinecap="round"
                strokeLinejoin="round"
                aria-hidden="true"
                className={className}
            >
                {body}
            </svg>
        );
    };
}

const ring = <circle cx="8" cy="8" r="6.2" />;

export const Check = icon(
    <>
        {ring}
        <path d="m5.3 8.2 1.9 1.9 3.6-4" />
    </>,
);
export const Cross = icon(
    <>
        {ring}
        <path d="m6 6 4 4m0-4-4 4" />
    </>,
);
export const Turning = icon(
    <>
        <circle cx="8" cy="8" r="6.2" opacity=".25" />
        <path d="M8 1.8A6.2 6.2 0 0 1 14.2 8" />
    </>,
);
export const Clock = icon(
    <>
        {ring}
        <path d="M8 4.6V8l2.2 1.5" />
    </>,
);
export const Person = icon(
    <>
        <circle cx="8" cy="5.2" r="2.7" />
        <path d="M2.8 14c.5-2.8 2.5-4.2 5.2-4.2s4.7 1.4 5.2 4.2" />
    </>,
);
export const Hold = icon(
    <>
        {ring}
        <path d="M6.4 5.8v4.4m3.2-4.4v4.4" />
    </>,
);
export const Hollow = icon(ring);
export const Dashed = icon(<circle cx="8" cy="8" r="6.2" strokeDasharray="2.4 2.5" />);
export const Over = icon(
    <>
        {ring}
        <path d="m5.2 5.9 2.1 2.1-2.1 2.1M8.7 5.9 10.8 8l-2.1 2.1" />
    </>,
);
export const Slash = icon(
    <>
        {ring}
        <path d="M3.7 12.3 12.3 3.7" />
    </>,
);
export const Again = icon(<path d="M13.2 6.4A5.6 5.6 0 1 0 13.6 9M13.4 2.8v3.6H9.8" />);
export const Back = icon(<path d="M3 6.2h6.4a3.4 3.4 0 0 1 0 6.8H6M5.6 3.4 2.8 6.2 5.6 9" />);
export const Close = icon(<path d="m4 4 8 8m0-8-8 8" />);
export const Search = icon(
    <>
        <circle cx="7" cy="7" r="4.4" />
        <path d="m10.4 10.4 3.2 3.2" />
    </>,
);
export const Copy = icon(
    <>
        <rect x="5.4" y="5.4" width="8" height="8" rx="1.6" />
        <path d="M10.6 2.8H4.2a1.6 1.6 0 0 0-1.6 1.6v6.2" />
    </>,
);
export const More = icon(
    <>
        <circle cx="3" cy="8" r=".6" fill="currentColor" />
        <circle cx="8" cy="8" r=".6" fill="currentColor" />
        <circle cx="13" cy="8" r=".6" fill="currentColor" />
    </>,
);
export const Chevron = icon(<path d="m6 4 4 4-4 4" />);
export const Warning = icon(
    <>
        <path d="M8 2.2 14.4 13H1.6z" />
        <path d="M8 6.4v3m0 1.8v.1" />
    </>,
);
export const Info = icon(
    <>
        {ring}
        <path d="M8 7.4v3.4M8 5.1v.1" />
    </>,
);
export const Moon = icon(<path d="M13.4 9.6A5.8 5.8 0 1 1 6.4 2.6a4.6 4.6 0 0 0 7 7z" />);
export const Sun = icon(
    <>
        <circle cx="8" cy="8" r="2.9" />
        <path d="M8 1.4v1.2m0 10.8v1.2M1.4 8h1.2m10.8 0h1.2M3.3 3.3l.9.9m7.6 7.6.9.9m0-9.4-.9.9m-7.6 7.6-.9.9" />
    </>,
);
export const Half = icon(
    <>
        {ring}
        <path d="M8 1.8a6.2 6.2 0 0 1 0 12.4z" fill="currentColor" />
    </>,
);
export const Inbox = icon(
    <path d="M2 9.4 3.9 3.3h8.2L14 9.4v3.8H2zM2 9.4h3.6l.9 1.7h3l.9-1.7H14" />,
);
export const Stack = icon(
    <>
        <rect x="2.4" y="2.6" width="11.2" height="4" rx="1.2" />
        <rect x="2.4" y="9.4" width="11.2" height="4" rx="1.2" />
    </>,
);
export const Key = icon(
    <>
        <circle cx="5.2" cy="10.8" r="2.8" />
        <path d="m7.2 8.8 6-6m-2.4 2.4 2 2" />
    </>,
);
