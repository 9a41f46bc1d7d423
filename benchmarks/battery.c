/* TestU01 (L'Ecuyer and Simard 2007) on the 32-bit words of standard input: battery [small|crush|big]. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <testu01/unif01.h>
#include <testu01/bbattery.h>
#include <testu01/swrite.h>

#define WORDS (1 << 16)

static unsigned int buffer[WORDS];
static size_t position = WORDS;
static unsigned long long used = 0;

static unsigned int next_word(void) {
    if (position == WORDS) {
        if (fread(buffer, sizeof buffer[0], WORDS, stdin) != WORDS) {
            fprintf(stderr, "the stream ended after %llu words\n", used);
            exit(2);
        }
        position = 0;
        used += WORDS;
    }
    return buffer[position++];
}

int main(int count, char **arguments) {
    const char *battery = count > 1 ? arguments[1] : "small";
    setvbuf(stdout, NULL, _IOLBF, 0); /* every test is on record as soon as it is done */
    swrite_Basic = TRUE;
    unif01_Gen *generator = unif01_CreateExternGenBits("standard input", next_word);
    if (!strcmp(battery, "small")) bbattery_SmallCrush(generator);
    else if (!strcmp(battery, "crush")) bbattery_Crush(generator);
    else if (!strcmp(battery, "big")) bbattery_BigCrush(generator);
    else return fprintf(stderr, "battery is small, crush or big, not %s\n", battery), 2;
    unif01_DeleteExternGenBits(generator);
    printf("words read: %llu\n", used);
    return 0;
}
