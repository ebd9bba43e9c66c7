/** One way to the API: adds the key, reads problem documents, and says when the server is gone. */

import { key } from "./session";

export interface ProblemDocument {
    title?: string;
    status?: number;
    code?: string;
    detail?: string;
    why?: string;
    fix?: string;
    docs?: string;
    request_id?: string;
    state?: string;
    allowed?: string[];
    [more: string]: unknown;
}

/** What the server refused, in its own words; `status` 0 means that nobody answered. */
export class Problem extends Error {
    readonly status: number;
    readonly document: ProblemDocument;

    constructor(status: number, document: ProblemDocument) {
        super(document.title ?? `The server answered ${status}.`);
        this.status = status;
        this.document = document;
    }

    get isUnauthorized(): boolean {
        return this.status === 401;
    }
}

export const UNREACHABLE: ProblemDocument = {
    title: "The server does not answer.",
    fix: "This page goes on by itself when it is back. To start one: podium serve",
};

export function headers(more: Record<string, string> = {}): Record<string, string> {
    const secret = key();
    return secret ? { Authorization: `Bearer ${secret}`, ...more } : more;
}

async function send(path: string, options: RequestInit): Promise<Response> {
    let response: Response;
    try {
        response = await fetch(path, { credentials: "omit", cache: "no-store", ...options });
    } catch (error) {
        if (options.signal?.aborted) throw error;
        throw new Problem(0, UNREACHABLE);
    }
    if (!response.ok) throw await problemOf(response);
    return response;
}

export async function problemOf(response: Response): Promise<Problem> {
    let document: ProblemDocument;
    try {
        document = (await response.json()) as ProblemDocument;
    } catch {
        document = { title: `The server answered ${response.status} without saying why.` };
    }
    return new Problem(response.status, document);
}

export type Query = Record<string, string | number | string[] | undefined>;

export function withQuery(path: string, query: Query = {}): string {
    const search = new URLSearchParams();
    for (const [name, value] of Object.entries(query)) {
        if (Array.isArray(value)) for (const each of value) search.append(name, each);
        else if (value !== undefined && value !== "") search.set(name, String(value));
    }
    const text = search.toString();
    return text ? `${path}?${text}` : path;
}

export async function get<T>(path: string, query?: Query, signal?: AbortSignal): Promise<T> {
    const accept = headers({ Accept: "application/json" });
    const response = await send(withQuery(path, query), { headers: accept, signal });
    return (await response.json()) as T;
}

export async function post<T>(
    path: string,
    body: unknown,
    more: Record<string, string> = {},
): Promise<T> {
    const all = headers({
        "Content-Type": "application/json",
        Accept: "application/json",
        ...more,
    });
    const response = await send(path, {
        method: "POST",
        headers: all,
        body: JSON.stringify(body),
    });
    const text = await response.text();
    return (text ? JSON.parse(text) : {}) as T;
}
