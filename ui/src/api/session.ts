/** The key of this tab. It is sent as a header, never as a cookie, so no other site can use it. */

const PLACE = "podium.key";
const listeners = new Set<() => void>();

export function key(): string {
    return sessionStorage.getItem(PLACE) ?? "";
}

export function signIn(value: string): void {
    sessionStorage.setItem(PLACE, value);
    for (const listener of listeners) listener();
}

export function signOut(): void {
    sessionStorage.removeItem(PLACE);
    for (const listener of listeners) listener();
}

export function watchKey(listener: () => void): () => void {
    listeners.add(listener);
    return () => listeners.delete(listener);
}
