#include "app/term.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* The process stays in the C locale, so that numbers in SQL and JSON have a point. */
static bool
locale_is_utf8(void)
{
    locale_t locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
    if (locale == (locale_t)0) {
        return false;
    }
    bool utf8 = strcmp(nl_langinfo_l(CODESET, locale), "UTF-8") == 0;
    freelocale(locale);
    return utf8;
}

Terminal
term_of(int fd, bool no_color)
{
    const char *kind = secure_getenv("TERM");
    const char *no_color_env = secure_getenv("NO_COLOR");
    Terminal term = {.fd = fd, .utf8 = locale_is_utf8()};
    term.is_tty = isatty(fd) == 1 && kind != NULL && kind[0] != '\0' && strcmp(kind, "dumb") != 0;
    term.color = term.is_tty && !no_color && (no_color_env == NULL || no_color_env[0] == '\0');
    return term;
}

static struct winsize
size_of(const Terminal *term)
{
    struct winsize size = {.ws_col = 0};
    bool known = term->is_tty && ioctl(term->fd, TIOCGWINSZ, &size) == 0;
    return known ? size : (struct winsize){.ws_col = 0};
}

int
term_width(const Terminal *term)
{
    int columns = size_of(term).ws_col;
    if (columns == 0) {
        return TERM_WIDTH_DEFAULT;
    }
    return columns;
}

int
term_text_width(const Terminal *term)
{
    int width = term_width(term);
    return width > TERM_WIDTH_DEFAULT ? TERM_WIDTH_DEFAULT : width;
}

int
term_height(const Terminal *term)
{
    return size_of(term).ws_row;
}
