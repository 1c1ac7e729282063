# The program as its users call it: tests/commands/*.sh, each one ctest called
# command_NAME with a folder of its own.
set(COMMANDS_DIR ${PROJECT_BINARY_DIR}/tests/commands)
file(MAKE_DIRECTORY ${COMMANDS_DIR})
file(GLOB COMMAND_SCRIPTS CONFIGURE_DEPENDS commands/test_*.sh)

# The tiny model that they share.
add_test(NAME command_tiny_model
    COMMAND arttomus_cli init --force --config ${PROJECT_SOURCE_DIR}/configs/tiny.yaml --out ${COMMANDS_DIR}/tiny)
set_tests_properties(command_tiny_model PROPERTIES FIXTURES_SETUP tiny_model)

foreach(script ${COMMAND_SCRIPTS})
    get_filename_component(name ${script} NAME_WE)
    string(REPLACE "test_" "command_" name ${name})
    add_test(NAME ${name}
        COMMAND bash ${script} $<TARGET_FILE:arttomus_cli> ${PROJECT_SOURCE_DIR} ${COMMANDS_DIR}/tiny ${COMMANDS_DIR}/${name})
    set_tests_properties(${name} PROPERTIES FIXTURES_REQUIRED tiny_model SKIP_RETURN_CODE 77)
endforeach()

# Hundreds of runs: once is enough, without sanitizers.
set_tests_properties(command_train_signals PROPERTIES LABELS slow)
