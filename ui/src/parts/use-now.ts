import { useEffect, useState } from "react";

/** The time, again every `every` ms while `isOn`; durations of what still runs grow with it. */
export function useNow(every = 1000, isOn = true): number {
    const [now, setNow] = useState(() => Date.now());
    useEffect(() => {
        if (!isOn) return;
        const timer = setInterval(() => setNow(Date.now()), every);
        return () => clearInterval(timer);
    }, [every, isOn]);
    return now;
}
