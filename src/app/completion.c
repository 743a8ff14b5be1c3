/*
 * completion.c - the completion script of bash.
 */
#include <string.h>

#include "app/manual.h"
#include "app/options.h"
#include "core/jobkeys.h"

static const char HEAD[] =
    "# bash completion of pghaul, made by `pghaul help completion`.\n"
    "\n"
    "# The verb is the first word that is neither an option nor the value of one.\n"
    "_pghaul_verb() {\n"
    "  local i\n"
    "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "    case ${COMP_WORDS[i]} in\n";

static const char VERB_FOUND[] = "      = | -*) ;;\n"
                                 "      *)\n"
                                 "        [[ ${COMP_WORDS[i - 1]} == = ]] && continue\n"
                                 "        verb=${COMP_WORDS[i]}\n"
                                 "        return\n"
                                 "        ;;\n"
                                 "    esac\n"
                                 "  done\n"
                                 "}\n"
                                 "\n"
                                 "_pghaul_files() {\n"
                                 "  compopt -o filenames 2>/dev/null\n"
                                 "  mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
                                 "}\n"
                                 "\n"
                                 "# Job files and folders, beside the words of before.\n"
                                 "_pghaul_job_files() {\n"
                                 "  local found\n"
                                 "  compopt -o filenames 2>/dev/null\n"
                                 "  while IFS= read -r found; do\n"
                                 "    if [[ -d $found || $found =~ \\.(yaml|yml|json)$ ]]; then\n"
                                 "      COMPREPLY+=(\"$found\")\n"
                                 "    fi\n"
                                 "  done < <(compgen -f -- \"$cur\")\n"
                                 "}\n"
                                 "\n"
                                 "_pghaul() {\n"
                                 "  local cur=${COMP_WORDS[COMP_CWORD]}\n"
                                 "  local option=${COMP_WORDS[COMP_CWORD - 1]}\n"
                                 "  local verb='' options='' words='' files=''\n"
                                 "  COMPREPLY=()\n"
                                 "  # --log-file=FILE is three words.\n"
                                 "  [[ $cur != = ]] || { option=$cur; cur=''; }\n"
                                 "  [[ $option != = ]] || option=${COMP_WORDS[COMP_CWORD - 2]}\n"
                                 "  case $option in\n";

static const char TAIL[] = "  esac\n"
                           "  if [[ $cur == -* ]]; then\n"
                           "    words=$options\n"
                           "    files=''\n"
                           "  fi\n"
                           "  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
                           "  [[ -z $files ]] || _pghaul_job_files\n"
                           "}\n"
                           "complete -F _pghaul pghaul\n";

/* ---- options ---- */

/* "-d | --dbname" of all options that take a value; `only` of one kind. */
static void
put_value_options(StrBuf *out, bool files)
{
    bool first = true;
    for (size_t i = 0; i < option_count(); i++) {
        const OptionDef *def = option_at(i);
        bool is_file = def->argument != NULL && strcmp(def->argument, "FILE") == 0;
        if (def->argument == NULL || is_file != files) {
            continue;
        }
        strbuf_puts(out, first ? "" : " | ");
        if (def->letter != 0) {
            strbuf_printf(out, "-%c | ", def->letter);
        }
        strbuf_printf(out, "--%s", def->name);
        first = false;
    }
}

static void
put_options(StrBuf *out, unsigned verbs)
{
    for (size_t i = 0; i < option_count(); i++) {
        if ((option_at(i)->verbs & verbs) != 0) {
            strbuf_printf(out, " --%s", option_at(i)->name);
        }
    }
}

/* ---- arguments ---- */

static void
put_verbs(StrBuf *out)
{
    for (int i = 0; i < VERB_COUNT; i++) {
        strbuf_printf(out, " %s", verb_at((VerbId)i)->name);
    }
}

static void
put_kinds(StrBuf *out)
{
    strbuf_puts(out, " backfill copy purge");
}

static void
put_keys(StrBuf *out)
{
    for (size_t i = 0; i < jobkeys_count(); i++) {
        if (jobkeys_at(i)->live) {
            strbuf_printf(out, " %s", jobkeys_at(i)->path);
        }
    }
}

static const struct {
    const char *name;
    void (*put)(StrBuf *out);
} PLACEHOLDERS[] = {{"VERB", put_verbs}, {"KIND", put_kinds}, {"KEY", put_keys}};

/* What may stand for one word of Verb.arguments. */
static void
put_argument(StrBuf *out, const char *word, size_t len)
{
    if (word[0] >= 'a' && word[0] <= 'z') {
        strbuf_putc(out, ' ');
        strbuf_put(out, word, len);
        return;
    }
    for (size_t i = 0; i < sizeof(PLACEHOLDERS) / sizeof(PLACEHOLDERS[0]); i++) {
        if (len == strlen(PLACEHOLDERS[i].name) && memcmp(word, PLACEHOLDERS[i].name, len) == 0) {
            PLACEHOLDERS[i].put(out);
        }
    }
}

static void
put_arguments(StrBuf *out, const char *arguments)
{
    static const char BETWEEN[] = " |[]=.";
    for (const char *word = arguments + strspn(arguments, BETWEEN); *word != '\0';) {
        size_t len = strcspn(word, BETWEEN);
        put_argument(out, word, len);
        word += len;
        word += strspn(word, BETWEEN);
    }
}

void
manual_put_completion(StrBuf *out)
{
    strbuf_puts(out, HEAD);
    strbuf_puts(out, "      ");
    put_value_options(out, false);
    strbuf_puts(out, " | \\\n        ");
    put_value_options(out, true);
    strbuf_puts(out, ") [[ ${COMP_WORDS[i + 1]-} == = ]] || ((i++)) ;;\n");
    strbuf_puts(out, VERB_FOUND);
    strbuf_puts(out, "    ");
    put_value_options(out, true);
    strbuf_puts(out, ") _pghaul_files; return ;;\n    ");
    put_value_options(out, false);
    strbuf_puts(out, ") return ;;\n  esac\n  _pghaul_verb\n  case $verb in\n");
    strbuf_puts(out, "    '')\n      words='");
    put_verbs(out);
    strbuf_puts(out, "'\n      options='");
    put_options(out, ~0U);
    strbuf_puts(out, "'\n      ;;\n");
    for (int i = 0; i < VERB_COUNT; i++) {
        const Verb *verb = verb_at((VerbId)i);
        strbuf_printf(out, "    %s)\n      words='", verb->name);
        put_arguments(out, verb->arguments);
        strbuf_puts(out, "'\n      options='");
        put_options(out, 1U << (unsigned)i);
        strbuf_puts(out, "'\n");
        bool files =
            strstr(verb->arguments, "JOB") != NULL || strstr(verb->arguments, "PATH") != NULL;
        strbuf_puts(out, files ? "      files=yes\n" : "");
        strbuf_puts(out, "      ;;\n");
    }
    strbuf_puts(out, TAIL);
}
