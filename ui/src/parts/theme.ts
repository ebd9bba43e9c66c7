/** Light, dark, or as the system says. */

export type Theme = "system" | "light" | "dark";
const PLACE = "podium.theme";

export function theme(): Theme {
    const kept = localStorage.getItem(PLACE);
    return kept === "light" || kept === "dark" ? kept : "system";
}

export function setTheme(next: Theme): void {
    if (next === "system") {
        localStorage.removeItem(PLACE);
        delete document.documentElement.dataset.theme;
    } else {
        localStorage.setItem(PLACE, next);
        document.documentElement.dataset.theme = next;
    }
}
