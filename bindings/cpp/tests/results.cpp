// Tests results. WHICH selects an invalid access, which ends the program.
#include <sam2.hpp>

#include <cstdio>
#include <cstring>

#define CHECK(what) \
    if (!(what)) return std::fprintf(stderr, "line %d: %s\n", __LINE__, #what), 1

int main(int argc, char** argv) {
    const auto model = sam2::model::load(argv[1]);
    CHECK(model && model.has_value());
    CHECK(model->info()->image_size == (*model).info().value().image_size && model.value().get() == model->get());
    auto bad = sam2::model::load("/nowhere");
    CHECK(!bad && !bad.has_value() && bad.error().status == SAM2_ERROR_IO && bad.error().number == 2);
    CHECK(sam2::model::load("/nowhere").error().message == bad.error().message);
    sam2::result<int> number(7), none(bad.error());
    CHECK(*number == 7 && std::move(none).value_or(9) == 9);
    sam2::result<void> fine, failed(bad.error());
    fine.value();
    CHECK(fine.has_value() && !failed.has_value() && failed.error().number == 2);
    if (argc < 3) return 0;
    const char* which = argv[2];
    if (!std::strcmp(which, "star")) (void)(*bad).get();
    if (!std::strcmp(which, "arrow")) (void)bad->get();
    if (!std::strcmp(which, "value")) (void)bad.value();
    if (!std::strcmp(which, "void")) failed.value();
    if (!std::strcmp(which, "error")) (void)number.error();
    return 2;
}
