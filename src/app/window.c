#include "app/window.h"

#include "app/json.h"
#include "core/format.h"

void
window_put_state(StrBuf *out, const WindowSpec *window, const WindowState *state)
{
    char wait[FORMAT_SIZE];
    strbuf_printf(out, "%s, %s", window->text, state->is_open ? "open" : "closed");
    if (state->changes) {
        strbuf_printf(out, "; %s at %s, in %s", state->is_open ? "closes" : "opens",
            state->change_at, format_duration((int64_t)(state->change_s * 1e6), wait));
    }
}

bool
window_admits(App *app, PgConn *conn, const JobSpec *spec, Err *err)
{
    WindowState state;
    if (spec->window.text == NULL) {
        return true;
    }
    if (!window_ask(conn, &spec->window, NULL, &state, err)) {
        return false;
    }
    if (state.is_open) {
        return true;
    }
    STRBUF_AUTO text = STRBUF_INIT;
    window_put_state(&text, &spec->window, &state);
    app_result(app, "window_opens_at", json_text(state.change_at));
    app_result(app, "window_opens_in_s", json_known(state.change_s));
    (void)err_set(err, ERR_STOPPED, "nothing was done: schedule.window %s", strbuf_text(&text));
    return err_hint(err, "The window is judged by the server's clock.");
}
