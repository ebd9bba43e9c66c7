import { useEffect, useMemo, useState } from "react";

/** Whether the window is as narrow as a phone. */
export function useNarrow(): boolean {
    const query = useMemo(() => matchMedia("(max-width: 720px)"), []);
    const [isNarrow, setNarrow] = useState(query.matches);
    useEffect(() => {
        const listen = () => setNarrow(query.matches);
        query.addEventListener("change", listen);
        return () => query.removeEventListener("change", listen);
    }, [query]);
    return isNarrow;
}
