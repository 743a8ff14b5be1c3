#include "app/carry_text.h"

#include "app/json.h"
#include "app/text.h"

static bool
is_lost(const Carry *carry, int i)
{
    return carry->items[i].kind == CARRY_LOST;
}

/* Each thing on a line of its own: somebody has to decide about each. */
static int
put_list(StrBuf *out, const Carry *carry, bool lost, int width)
{
    int count = 0;
    for (int i = 0; i < carry->count; i++) {
        if (is_lost(carry, i) == lost) {
            text_put_wrapped(out, "  - ", carry->steps[i].what, width);
            count++;
        }
    }
    if (count == 0) {
        strbuf_puts(out, lost ? "  - nothing\n" : "  - nothing that the new table has not\n");
    }
    return count;
}

void
carry_put_report(StrBuf *out, const Carry *carry, int width)
{
    STRBUF_AUTO line = STRBUF_INIT;
    strbuf_printf(&line,
        "Cutover: %s becomes %s, and %s becomes %s. Carried over:", carry->names.source,
        carry->names.old, carry->names.into, carry->names.source);
    text_put_wrapped(out, "", strbuf_text(&line), width);
    (void)put_list(out, carry, false, width);
    strbuf_puts(out, "Not carried over:\n");
    (void)put_list(out, carry, true, width);
    if (carry->obstacle != NULL) {
        text_put_wrapped(out, "In the way: ", carry->obstacle, width);
    }
}

json_t *
carry_json(const Carry *carry)
{
    json_t *object = json_object();
    json_t *lists[] = {json_array(), json_array()};
    for (int i = 0; i < carry->count; i++) {
        json_append(lists[is_lost(carry, i) ? 1 : 0], json_text(carry->steps[i].what));
    }
    json_put(object, "carried", lists[0]);
    json_put(object, "lost", lists[1]);
    json_put(object, "obstacle", json_text(carry->obstacle));
    return object;
}
