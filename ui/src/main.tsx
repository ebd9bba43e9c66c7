import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { Problem } from "./api/client";
import { setTheme, theme } from "./parts/theme";
import { makeRouter } from "./routes";
import "./styles/tokens.css";
import "./styles/elements.css";
import "./styles/parts.css";

setTheme(theme());

const client = new QueryClient({
    defaultOptions: {
        queries: {
            // A refusal is an answer; only silence and faults of the server are worth another try.
            retry: (failures, error) =>
                error instanceof Problem &&
                (error.status === 0 || error.status >= 500) &&
                failures < 2,
            retryDelay: (failures) => Math.min(4000, 500 * 2 ** failures),
            staleTime: 1000,
        },
    },
});

const place = document.getElementById("root");
if (place) {
    createRoot(place).render(
        <StrictMode>
            <QueryClientProvider client={client}>
                <RouterProvider router={makeRouter(client)} />
            </QueryClientProvider>
        </StrictMode>,
    );
}
